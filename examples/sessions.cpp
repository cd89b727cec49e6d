/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions in C++: each has a budget, and its containers charge it.
 *
 * A session that asks for too much is refused alone: its containers throw std::bad_alloc, which it turns into an
 * answer. Destructors give everything back, by whatever path a session ends. */
#include <headroom/headroom.hpp>

#include <cstdio>
#include <list>
#include <memory_resource>
#include <string>
#include <vector>

/* Members end in reverse order: the messages give their bytes back before the budget ends. */
class session
{
  public:
    session(const headroom::guard &guard, const std::string &name)
        : budget_(guard, name.c_str(), 1 << 20), memory_(budget_), messages_(&memory_)
    {
    }
    /* False where the session's budget has no room: the caller answers "too large", and all others are served. */
    bool add(const char *text, std::size_t length)
    {
        try {
            messages_.emplace_back(text, length);
            return true;
        } catch (const std::bad_alloc &) {
            return false;
        }
    }
    unsigned long long used() const
    {
        return budget_.read().used_bytes;
    }

  private:
    headroom::budget budget_;
    headroom::memory_resource memory_;
    std::pmr::list<std::pmr::string> messages_;
};

int main()
{
    try {
        hr_guard_options options = {};
        options.limit_bytes = 64 << 20;
        headroom::guard guard(options);
        std::list<session> sessions;
        for (int i = 0; i < 8; i++)
            sessions.emplace_back(guard, "session " + std::to_string(i));

        const std::string text(100 << 10, 'x');
        int taken = 0;
        while (sessions.front().add(text.data(), text.size()))
            taken++;
        bool other = sessions.back().add(text.data(), text.size());
        std::printf("the first session holds %d messages in %llu KiB, then it is refused; another one is %s\n", taken,
                    sessions.front().used() >> 10, other ? "served" : "refused");
        sessions.clear();
        std::printf("all of them ended: %llu bytes are held, level %s\n",
                    static_cast<unsigned long long>(guard.read().live_bytes), hr_level_text(guard.level()));
        return taken == 9 && other ? 0 : 1; /* 104 KiB each, with what the heap rounds up */
    } catch (const std::system_error &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
