/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that decide who may ask over HTTP. */
#include "fuzz.h"

#include "admin_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"weir.example", "log"};
    static const struct weir_list hosts = {names, 2};
    char *text = fuzz_text(data, size);
    bool with = admin_host_allowed(text, &hosts), without = admin_host_allowed(text, &(struct weir_list){0});
    FUZZ_CHECK(with || !without);
    /* Nobody gets in with a name that is not whole, or with the token's beginning. */
    if (with && !without) {
        FUZZ_CHECK(!strncasecmp(text, "weir.example", 12) || !strncasecmp(text, "log", 3));
    }
    FUZZ_CHECK(!admin_token_allowed(text, "secret") ||
               (size >= 13 && !strncasecmp(text, "bearer", 6) && strstr(text, "secret")));
    free(text);
    return 0;
}
