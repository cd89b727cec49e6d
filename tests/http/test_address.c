/* SPDX-License-Identifier: Apache-2.0 */
/* Which clients are answered: addresses, Hosts, origins, tokens. */
#include "support/cmocka.h"

#include "http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static void addresses(void **state)
{
    (void)state;
    static const char *const none[] = {"",           "127.0.0.1", "127.0.0.1:",      "127.0.0.1:x", "127.0.0.1:65536",
                                       ":-1",        "[::1]",     "[::1:80",         "[::1]80",     "127.0.0.1:80 ",
                                       "no such:80", ":+5",       "127.0.0.1:123456"};
    http_address address;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(http_address_parse(none[i], &address), -EINVAL);
    char longest[HTTP_HOST_BYTES + 8];
    memset(longest, 'a', sizeof longest);
    snprintf(longest + HTTP_HOST_BYTES, 8, ":80");
    assert_int_equal(http_address_parse(longest, &address), -EINVAL);

    assert_int_equal(http_address_parse("127.0.0.1:9464", &address), 0);
    assert_true(address.is_loopback);
    assert_int_equal(((struct sockaddr_in *)&address.socket)->sin_port, htons(9464));
    assert_int_equal(http_address_parse(":0", &address), 0);
    assert_true(address.is_loopback);
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(http_address_parse("[::1]:80", &address), 0);
    assert_true(address.is_loopback);
    assert_int_equal(http_address_parse("127.255.1.2:80", &address), 0);
    assert_true(address.is_loopback);
    assert_int_equal(http_address_parse("0.0.0.0:80", &address), 0);
    assert_false(address.is_loopback);
    assert_int_equal(http_address_parse("[::]:80", &address), 0);
    assert_false(address.is_loopback);
    assert_int_equal(http_address_parse("192.0.2.1:80", &address), 0);
    assert_false(address.is_loopback);
}

static void hosts(void **state)
{
    (void)state;
    static const char *const known[] = {"127.0.0.1", "127.0.0.1:80",   "localhost",     "LocalHost:1",     "[::1]",
                                        "[::1]:80",  "192.0.2.7:9464", "shop.internal", "SHOP.internal:80"};
    static const char *const strange[] = {"",
                                          "evil.example",
                                          "127.0.0.1.evil.example",
                                          "localhost.evil.example:80",
                                          ":80",
                                          "localhost:x",
                                          "[::1",
                                          "[::1]x",
                                          "127.1",
                                          "shop.internal.evil",
                                          "2130706433"};
    http_address address = {.host = "shop.internal"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_true(http_host_is_known(known[i], &address));
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        assert_false(http_host_is_known(strange[i], &address));
    assert_false(http_host_is_known(NULL, &address));
}

static void origins(void **state)
{
    (void)state;
    assert_true(http_origin_is_own(NULL, "localhost:80"));
    assert_true(http_origin_is_own("http://localhost:80", "localhost:80"));
    assert_false(http_origin_is_own("http://localhost:81", "localhost:80"));
    assert_false(http_origin_is_own("http://evil.example", "localhost:80"));
    assert_false(http_origin_is_own("null", "localhost:80"));
    assert_false(http_origin_is_own("", "localhost:80"));
    assert_false(http_origin_is_own("http://localhost:80", NULL));
}

static void tokens(void **state)
{
    (void)state;
    assert_true(http_token_is("0123456789abcdef", "0123456789abcdef"));
    assert_false(http_token_is("0123456789abcdef", "0123456789abcdeg"));
    assert_false(http_token_is("0123456789abcdef", "0123456789abcde"));
    assert_false(http_token_is("0123456789abcdef", "0123456789abcdef0123456789abcdef"));
    assert_false(http_token_is("0123456789abcdef", ""));
    assert_false(http_token_is("0123456789abcdef", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(hosts),
        cmocka_unit_test(origins),
        cmocka_unit_test(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
