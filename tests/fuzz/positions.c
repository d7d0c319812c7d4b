/* SPDX-License-Identifier: Apache-2.0 */
/* What in_tail keeps beside a position, as any bytes; what is read must be written as it was. */
#include "fuzz.h"

#include <errno.h>
#include "identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[TAIL_META_MAX];
    struct tail_meta meta, back;
    int r = tail_meta_decode(data, size, &meta);
    FUZZ_CHECK(r == 0 || r == -EINVAL);
    if (r == 0) {
        FUZZ_CHECK(meta.path >= (const char *)data &&
                   meta.path + meta.path_size <= (const char *)data + size);
        size_t n = tail_meta_encode(&meta, again);
        FUZZ_CHECK(n <= sizeof again && tail_meta_decode(again, n, &back) == 0);
        FUZZ_CHECK(tail_identity_equal(&meta.identity, &back.identity));
        FUZZ_CHECK(meta.fingerprint.hash == back.fingerprint.hash &&
                   meta.fingerprint.length == back.fingerprint.length);
        FUZZ_CHECK(meta.path_size == back.path_size && !memcmp(meta.path, back.path, meta.path_size));
        FUZZ_CHECK(meta.away == back.away && meta.gone == back.gone && meta.missing == back.missing);
        FUZZ_CHECK(meta.packing.packed == back.packing.packed);
        FUZZ_CHECK(!meta.packing.packed ||
                   (meta.packing.raw == back.packing.raw && meta.packing.end == back.packing.end &&
                    meta.packing.trail == back.packing.trail));
    }
    return 0;
}
