/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program that uses the installed libheadroom-http: one source for C11, C17 and C++17. */
#include <headroom/headroom.h>
#include <headroom/http.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    hr_guard *guard;
    hr_http *http = NULL;
    hr_http_options options;
    memset(&options, 0, sizeof options);
    options.address = "127.0.0.1:0";
    if (hr_guard_new(NULL, &guard) != 0)
        return 1;
    int error = hr_http_start(guard, &options, &http);
    unsigned port = hr_http_port(http);
    hr_http_stop(http);
    hr_guard_free(guard);
    if (error || port == 0)
        printf("error %d, port %u\n", error, port);
    return error || port == 0;
}
