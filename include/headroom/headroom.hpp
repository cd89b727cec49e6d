/* SPDX-License-Identifier: Apache-2.0 */
/* headroom in C++17: handles that give back what they hold, and allocators that charge a budget.
 *
 *     headroom::guard guard;                                        // the limit that the kernel sets
 *     headroom::budget sessions(guard.root(), "sessions", 64 << 20);
 *
 *     headroom::memory_resource memory(sessions);                   // std::bad_alloc when the budget is short
 *     std::pmr::vector<char> body(&memory);
 *     std::map<int, row, std::less<>, headroom::allocator<std::pair<const int, row>>> rows{sessions};
 *
 *     headroom::ticket ticket(guard, {.bytes = n, .priority = 100});    // C++20; in C++17 fill an hr_request
 *     if (!ticket)
 *         return refuse(ticket.verdict(), ticket.get().retry_after_ns);
 *
 * Everything here is inline over the C functions, whose headers say what they do; get() gives the C handle for all that
 * has no method here. Handles are moved and never copied, and belong to one thread at a time, as the objects that they
 * stand for may be used by all threads. A constructor throws std::system_error with the errno of the C call. Memory
 * that is refused throws std::bad_alloc. The other methods return what the C functions return, since a refusal is an
 * answer and no exception there. Destructors never throw.
 *
 * A handle must end before the handle that it was made from: budgets, pools and caches before their guard.
 */
#ifndef HEADROOM_HEADROOM_HPP
#define HEADROOM_HEADROOM_HPP

#include <headroom/headroom.h>

#include <cassert>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <memory_resource>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

namespace headroom
{

/* The parts of these classes that are nobody's business. */
namespace detail
{

inline void check(int error, const char *what)
{
    if (error < 0)
        throw std::system_error(-error, std::generic_category(), what);
}

/* A C handle with one owner, which `Free` frees. */
template <class Handle, int (*Free)(Handle *)> class owned
{
  public:
    owned() noexcept = default;
    explicit owned(Handle *handle) noexcept : handle_(handle)
    {
    }
    owned(owned &&other) noexcept : handle_(std::exchange(other.handle_, nullptr))
    {
    }
    owned &operator=(owned &&other) noexcept
    {
        if (this != &other) {
            free();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    owned(const owned &) = delete;
    owned &operator=(const owned &) = delete;
    ~owned()
    {
        free();
    }
    Handle *get() const noexcept
    {
        return handle_;
    }
    Handle *release() noexcept
    {
        return std::exchange(handle_, nullptr);
    }
    int close() noexcept
    {
        int error = handle_ ? Free(handle_) : 0;
        if (error == 0)
            handle_ = nullptr;
        return error;
    }

  private:
    /* A handle that is busy is not freed: bytes, items or references that are out would point nowhere. The C handle
     * stays valid. */
    void free() noexcept
    {
        int error = close();
        assert(error == 0 && "headroom: something of this handle is still in use");
        (void)error;
    }

    Handle *handle_ = nullptr;
};

inline int free_guard(hr_guard *guard) noexcept
{
    hr_guard_free(guard);
    return 0;
}

inline hr_budget *root_or_null(hr_guard *guard) noexcept
{
    return guard ? hr_guard_root(guard) : nullptr;
}

/* An aligned block of a budget, or std::bad_alloc. */
inline void *allocate(hr_budget *budget, std::size_t bytes, std::size_t align)
{
    void *block = align <= alignof(std::max_align_t) ? hr_alloc(budget, bytes) : hr_alloc_aligned(budget, align, bytes);
    if (!block)
        throw std::bad_alloc();
    return block;
}

} // namespace detail

/* A guard: hr_guard_new() and hr_guard_free().
 *
 * throws   std::system_error with what hr_guard_new() returns
 */
class guard
{
  public:
    explicit guard(const hr_guard_options &options = {})
    {
        hr_guard *made = nullptr;
        detail::check(hr_guard_new(&options, &made), "hr_guard_new");
        handle_ = handle(made);
    }
    hr_guard *get() const noexcept
    {
        return handle_.get();
    }
    /* The root budget: its limit is the guard's. It is the guard's own, and never freed by a budget handle. */
    hr_budget *root() const noexcept
    {
        return detail::root_or_null(get());
    }
    hr_level level() const noexcept
    {
        return hr_guard_level(get());
    }
    hr_level check() noexcept
    {
        return hr_guard_check(get());
    }
    /* throws   std::system_error */
    hr_figures read() const
    {
        hr_figures figures = {};
        detail::check(hr_guard_read(get(), &figures), "hr_guard_read");
        return figures;
    }

  private:
    using handle = detail::owned<hr_guard, detail::free_guard>;
    handle handle_;
};

/* A budget of one's own below `parent`: hr_budget_new() and hr_budget_free(). Bytes that are still charged, or
 * children, when the handle ends are a mistake of the program. Debug builds of the program stop there, others leave the
 * budget to the guard. close() is the way to find out: -EBUSY, and the handle still holds the budget.
 *
 * throws   std::system_error with what hr_budget_new() returns
 */
class budget
{
  public:
    budget(hr_budget *parent, const char *name, std::uint64_t limit_bytes = HR_NONE)
    {
        hr_budget *made = nullptr;
        detail::check(hr_budget_new(parent, name, limit_bytes, &made), "hr_budget_new");
        handle_ = handle(made);
    }
    budget(const budget &parent, const char *name, std::uint64_t limit_bytes = HR_NONE)
        : budget(parent.get(), name, limit_bytes)
    {
    }
    budget(const guard &parent, const char *name, std::uint64_t limit_bytes = HR_NONE)
        : budget(parent.root(), name, limit_bytes)
    {
    }
    hr_budget *get() const noexcept
    {
        return handle_.get();
    }
    /* returns  0; -EDQUOT */
    [[nodiscard]] int charge(std::uint64_t bytes) noexcept
    {
        return hr_budget_charge(get(), bytes);
    }
    void uncharge(std::uint64_t bytes) noexcept
    {
        hr_budget_uncharge(get(), bytes);
    }
    [[nodiscard]] int set_limit(std::uint64_t limit_bytes) noexcept
    {
        return hr_budget_set_limit(get(), limit_bytes);
    }
    /* throws   std::system_error */
    hr_budget_figures read() const
    {
        hr_budget_figures figures = {};
        detail::check(hr_budget_read(get(), &figures), "hr_budget_read");
        return figures;
    }
    /* returns  0; -EBUSY while bytes or children are held */
    [[nodiscard]] int close() noexcept
    {
        return handle_.close();
    }

  private:
    using handle = detail::owned<hr_budget, hr_budget_free>;
    handle handle_;
};

/* std::pmr over hr_alloc(): each block is charged to the budget with its whole footprint, and a refusal is
 * std::bad_alloc. Two resources are equal if they charge the same budget, so a container that is moved between two
 * budgets copies.
 */
class memory_resource : public std::pmr::memory_resource
{
  public:
    explicit memory_resource(hr_budget *budget) noexcept : budget_(budget)
    {
    }
    explicit memory_resource(const headroom::budget &budget) noexcept : budget_(budget.get())
    {
    }
    explicit memory_resource(const guard &guard) noexcept : budget_(guard.root())
    {
    }
    hr_budget *budget() const noexcept
    {
        return budget_;
    }

  private:
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        return detail::allocate(budget_, bytes, align);
    }
    void do_deallocate(void *block, std::size_t, std::size_t) override
    {
        hr_free(block);
    }
    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        const memory_resource *same = dynamic_cast<const memory_resource *>(&other);
        return same && same->budget_ == budget_;
    }

    hr_budget *budget_;
};

/* A standard allocator over a budget, for containers without std::pmr. It moves and swaps along with its container,
 * since each block knows the budget that it is charged to; a copy of a container charges the same budget.
 */
template <class T> class allocator
{
  public:
    using value_type = T;
    using propagate_on_container_move_assignment = std::true_type;
    using propagate_on_container_swap = std::true_type;
    using is_always_equal = std::false_type;

    allocator(hr_budget *budget) noexcept : budget_(budget) // NOLINT: containers are made from a budget alone
    {
    }
    allocator(const headroom::budget &budget) noexcept : budget_(budget.get()) // NOLINT: as above
    {
    }
    template <class U> allocator(const allocator<U> &other) noexcept : budget_(other.budget()) // NOLINT: as above
    {
    }
    /* throws   std::bad_alloc; std::bad_array_new_length if n × sizeof(T) overflows */
    T *allocate(std::size_t n)
    {
        if (n > std::numeric_limits<std::size_t>::max() / sizeof(T))
            throw std::bad_array_new_length();
        return static_cast<T *>(detail::allocate(budget_, n * sizeof(T), alignof(T)));
    }
    void deallocate(T *block, std::size_t) noexcept
    {
        hr_free(block);
    }
    hr_budget *budget() const noexcept
    {
        return budget_;
    }

  private:
    hr_budget *budget_;
};

template <class T, class U> bool operator==(const allocator<T> &a, const allocator<U> &b) noexcept
{
    return a.budget() == b.budget();
}

template <class T, class U> bool operator!=(const allocator<T> &a, const allocator<U> &b) noexcept
{
    return !(a == b);
}

/* The answer of hr_admit(), released when it ends. A ticket that was refused is no exception: ask it. */
class ticket
{
  public:
    ticket(hr_guard *guard, const hr_request &request) noexcept : verdict_(hr_admit(guard, &request, &ticket_))
    {
    }
    ticket(const guard &guard, const hr_request &request) noexcept : ticket(guard.get(), request)
    {
    }
    ticket(ticket &&other) noexcept
        : ticket_(std::exchange(other.ticket_, hr_ticket{})),
          verdict_(std::exchange(other.verdict_, HR_REFUSED_NO_BUDGET))
    {
    }
    ticket &operator=(ticket &&other) noexcept
    {
        if (this != &other) {
            hr_ticket_release(&ticket_);
            ticket_ = std::exchange(other.ticket_, hr_ticket{});
            verdict_ = std::exchange(other.verdict_, HR_REFUSED_NO_BUDGET);
        }
        return *this;
    }
    ticket(const ticket &) = delete;
    ticket &operator=(const ticket &) = delete;
    ~ticket()
    {
        hr_ticket_release(&ticket_);
    }
    explicit operator bool() const noexcept
    {
        return verdict_ == HR_ADMITTED;
    }
    hr_verdict verdict() const noexcept
    {
        return verdict_;
    }
    /* The C ticket: asked_bytes, left_bytes, limit_name, retry_after_ns. */
    const hr_ticket &get() const noexcept
    {
        return ticket_;
    }
    hr_ticket &get() noexcept
    {
        return ticket_;
    }
    /* A block paid from the ticket, for hr_free().
     *
     * throws   std::bad_alloc
     */
    void *allocate(std::size_t bytes)
    {
        void *block = hr_ticket_alloc(&ticket_, bytes);
        if (!block)
            throw std::bad_alloc();
        return block;
    }
    /* returns  0; -EDQUOT */
    [[nodiscard]] int spend(std::uint64_t bytes) noexcept
    {
        return hr_ticket_spend(&ticket_, bytes);
    }
    void release() noexcept
    {
        hr_ticket_release(&ticket_);
    }

  private:
    hr_ticket ticket_ = {};
    hr_verdict verdict_;
};

/* A pool of buffers: hr_byte_pool_new(). A buffer goes back when its handle ends.
 *
 * throws   std::system_error with what hr_byte_pool_new() returns
 */
class byte_pool
{
  public:
    class buffer
    {
      public:
        buffer(buffer &&other) noexcept
            : pool_(other.pool_), data_(std::exchange(other.data_, nullptr)), size_(other.size_)
        {
        }
        buffer &operator=(buffer &&other) noexcept
        {
            if (this != &other) {
                put();
                pool_ = other.pool_;
                data_ = std::exchange(other.data_, nullptr);
                size_ = other.size_;
            }
            return *this;
        }
        buffer(const buffer &) = delete;
        buffer &operator=(const buffer &) = delete;
        ~buffer()
        {
            put();
        }
        std::byte *data() const noexcept
        {
            return data_;
        }
        /* As asked for. */
        std::size_t size() const noexcept
        {
            return size_;
        }

      private:
        friend class byte_pool;
        buffer(hr_byte_pool *pool, std::size_t size)
            : pool_(pool), data_(static_cast<std::byte *>(hr_byte_pool_get(pool, size))), size_(size)
        {
            if (!data_)
                throw std::bad_alloc();
        }
        void put() noexcept
        {
            if (data_)
                hr_byte_pool_put(pool_, data_);
            data_ = nullptr;
        }

        hr_byte_pool *pool_;
        std::byte *data_;
        std::size_t size_;
    };

    byte_pool(const guard &guard, const hr_byte_pool_options &options)
    {
        hr_byte_pool *made = nullptr;
        detail::check(hr_byte_pool_new(guard.get(), &options, &made), "hr_byte_pool_new");
        handle_ = handle(made);
    }
    /* throws   std::bad_alloc */
    buffer get_buffer(std::size_t size)
    {
        return buffer(handle_.get(), size);
    }
    hr_byte_pool *get() const noexcept
    {
        return handle_.get();
    }
    /* returns  0; -EBUSY while buffers are out */
    [[nodiscard]] int close() noexcept
    {
        return handle_.close();
    }

  private:
    using handle = detail::owned<hr_byte_pool, hr_byte_pool_free>;
    handle handle_;
};

/* A borrowed value of a cache, given back when the handle ends. */
class cache_ref
{
  public:
    cache_ref() noexcept = default;
    cache_ref(cache_ref &&other) noexcept : cache_(other.cache_), ref_(std::exchange(other.ref_, hr_cache_ref{}))
    {
    }
    cache_ref &operator=(cache_ref &&other) noexcept
    {
        if (this != &other) {
            release();
            cache_ = other.cache_;
            ref_ = std::exchange(other.ref_, hr_cache_ref{});
        }
        return *this;
    }
    cache_ref(const cache_ref &) = delete;
    cache_ref &operator=(const cache_ref &) = delete;
    ~cache_ref()
    {
        release();
    }
    /* Whether there is a value. */
    explicit operator bool() const noexcept
    {
        return ref_.entry_ != nullptr;
    }
    const void *data() const noexcept
    {
        return ref_.data;
    }
    std::size_t size() const noexcept
    {
        return ref_.size;
    }
    /* Where a reserved value is written, until it is committed. */
    void *reserved() noexcept
    {
        return ref_.data;
    }
    /* Publishes a reserved value, of which `size` bytes were written.
     *
     * returns  as hr_cache_commit(): 0; -EALREADY, -EINVAL
     */
    [[nodiscard]] int commit(std::size_t size) noexcept
    {
        ref_.size = size;
        return hr_cache_commit(cache_, &ref_);
    }
    void release() noexcept
    {
        if (ref_.entry_)
            hr_cache_release(cache_, &ref_);
        ref_ = hr_cache_ref{};
    }

  private:
    friend class cache;
    cache_ref(hr_cache *cache, const hr_cache_ref &ref) noexcept : cache_(cache), ref_(ref)
    {
    }

    hr_cache *cache_ = nullptr;
    hr_cache_ref ref_ = {};
};

/* A cache that yields: hr_cache_new(). Keys are anything with data() and size() in bytes, such as std::string_view.
 *
 * throws   std::system_error with what hr_cache_new() returns
 */
class cache
{
  public:
    explicit cache(const guard &guard, const hr_cache_options &options = {})
    {
        hr_cache *made = nullptr;
        detail::check(hr_cache_new(guard.get(), &options, &made), "hr_cache_new");
        handle_ = handle(made);
    }
    /* The value, or an empty reference when there is none.
     *
     * throws   std::system_error with what a load returned; never for a key that is not there
     */
    template <class Key> cache_ref find(const Key &key)
    {
        hr_cache_ref ref = {};
        int error = hr_cache_get(get(), key.data(), bytes_of(key), &ref);
        if (error == -ENOENT)
            return cache_ref();
        detail::check(error, "hr_cache_get");
        return cache_ref(get(), ref);
    }
    /* Keeps a copy of a value.
     *
     * returns  as hr_cache_put(): 0; -EDQUOT, -E2BIG, -ENOMEM
     */
    template <class Key, class Value>
    [[nodiscard]] int put(const Key &key, const Value &value, std::int64_t ttl_ns = 0) noexcept
    {
        return hr_cache_put(get(), key.data(), bytes_of(key), value.data(), bytes_of(value), ttl_ns);
    }
    /* Reserves room for a value that is written in place; released without a commit, it is thrown away.
     *
     * returns  as hr_cache_reserve(): 0; -EDQUOT, -E2BIG, -ENOMEM
     */
    template <class Key>
    [[nodiscard]] int reserve(const Key &key, std::size_t size, cache_ref &ret_ref, std::int64_t ttl_ns = 0) noexcept
    {
        hr_cache_ref ref = {};
        int error = hr_cache_reserve(get(), key.data(), bytes_of(key), size, ttl_ns, &ref);
        if (error == 0)
            ret_ref = cache_ref(get(), ref);
        return error;
    }
    /* returns  whether there was an entry */
    template <class Key> bool remove(const Key &key) noexcept
    {
        return hr_cache_remove(get(), key.data(), bytes_of(key)) == 0;
    }
    void clear() noexcept
    {
        hr_cache_clear(get());
    }
    hr_cache *get() const noexcept
    {
        return handle_.get();
    }
    /* returns  0; -EBUSY while values are borrowed */
    [[nodiscard]] int close() noexcept
    {
        return handle_.close();
    }

  private:
    template <class Bytes> static std::size_t bytes_of(const Bytes &bytes) noexcept
    {
        static_assert(std::is_trivially_copyable_v<std::remove_reference_t<decltype(*bytes.data())>>,
                      "keys and values are copied byte by byte");
        return bytes.size() * sizeof(*bytes.data());
    }

    using handle = detail::owned<hr_cache, hr_cache_free>;
    handle handle_;
};

} // namespace headroom

#endif
