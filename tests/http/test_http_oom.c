/* SPDX-License-Identifier: Apache-2.0 */
/* The server with the Nth allocation failing: it is there or it is not, and leaves nothing behind. And at critical, with no
 * room for another byte, it answers. */
#include "support/cmocka.h"
#include "support/fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <headroom/headroom.h>
#include <headroom/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static hr_guard *guard;

static uint64_t used(void)
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    return figures.used_bytes;
}

static void start_and_stop(void *context)
{
    hr_http *http = NULL;
    (void)context;
    int error = hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:0", .token = "0123456789abcdef"}, &http);
    assert_true(!error || hrt_fault_failed() > 0);
    hr_http_stop(http);
    assert_int_equal(used(), 0);
}

static void every_allocation(void **state)
{
    (void)state;
    assert_true(hrt_each_fault(start_and_stop, NULL) >= 6);
}

static void errors_say_which(void **state)
{
    (void)state;
    hr_http *http = (hr_http *)1;
    const hr_http_source none = {0};
    assert_int_equal(hr_http_start(guard, NULL, NULL), -EINVAL);
    assert_int_equal(hr_http_start(NULL, NULL, &http), -EINVAL);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "nonsense"}, &http), -EINVAL);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:0", .token = "short"}, &http),
                     -EINVAL);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "0.0.0.0:0"}, &http), -EACCES);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "0.0.0.0:0", .token = ""}, &http), -EACCES);
    assert_int_equal(
        hr_http_start(NULL, &(hr_http_options){.address = "192.0.2.1:1", .token = "0123456789abcdef", .source = &none},
                      &http),
        -EADDRNOTAVAIL);
    assert_ptr_equal(http, (hr_http *)1);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 64 * MIB - 4096), 0);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:0"}, &http), -EDQUOT);
    hr_budget_uncharge(hr_guard_root(guard), 64 * MIB - 4096);
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:0"}, &http), 0);
    hr_http *second;
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%u", hr_http_port(http));
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = address}, &second), -EADDRINUSE);
    hr_http_stop(http);
    hr_http_stop(NULL);
    assert_int_equal(hr_http_port(NULL), 0);
    assert_int_equal(used(), 0);
}

/* Asks for a path; gives the status, and the length of the whole answer. */
static int ask(unsigned port, const char *path, size_t *ret_length)
{
    char request[128], answer[65536];
    int status = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int size =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(send(fd, request, (size_t)size, 0), size);
    ssize_t got;
    *ret_length = 0;
    while ((got = recv(fd, answer, sizeof answer, 0)) > 0) {
        if (*ret_length == 0)
            sscanf(answer, "HTTP/1.1 %d", &status);
        *ret_length += (size_t)got;
    }
    close(fd);
    return status;
}

static void it_answers_at_critical(void **state)
{
    (void)state;
    hr_http *http;
    hr_page_parts parts;
    size_t length;
    assert_int_equal(hr_http_start(guard, &(hr_http_options){.address = "127.0.0.1:0"}, &http), 0);
    unsigned port = hr_http_port(http);
    assert_int_equal(ask(port, "/readyz", &length), 200);
    uint64_t rest = 64 * MIB - used();
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), rest), 0);
    assert_int_equal(hr_budget_charge(hr_guard_root(guard), 1), -EDQUOT);
    assert_int_equal(hr_guard_check(guard), HR_CRITICAL);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask(port, "/healthz", &length), 200);
        assert_int_equal(ask(port, "/readyz", &length), 503);
        assert_int_equal(ask(port, "/metrics", &length), 200);
        assert_int_equal(ask(port, "/history.json", &length), 200);
        assert_true(length > 1000);
        bool has_page = hr_page_read_parts(&parts) == 0;
        assert_int_equal(ask(port, "/", &length), has_page ? 200 : 501);
        assert_true(!has_page || length > parts.head_bytes + parts.middle_bytes + parts.tail_bytes);
    }
    hr_budget_uncharge(hr_guard_root(guard), rest);
    hr_http_stop(http);
    assert_int_equal(used(), 0);
}

static int set_up(void **state)
{
    (void)state;
    return hr_guard_new(&(hr_guard_options){.limit_bytes = 64 * MIB, .interval_ns = -1, .share_lease = -1}, &guard);
}

static int tear_down(void **state)
{
    (void)state;
    hr_guard_free(guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_allocation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_say_which, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_answers_at_critical, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
