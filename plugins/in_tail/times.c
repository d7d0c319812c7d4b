/* SPDX-License-Identifier: Apache-2.0 */
/* strptime for what a format says, and a reader of its own for RFC 3339, which most logs have. Any thread. */
#include "times.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { TEXT_MAX = 128 };

struct tail_times {
    uint64_t unit; /* ns; 0: by format */
    bool iso;      /* RFC 3339 is worth a try first */
    bool yearless;
    char *before, *after; /* of %L; after is NULL without one */
};

/* -- RFC 3339 ----------------------------------------------------------------------------------------- */

static bool two(const char *p, unsigned max, unsigned *ret)
{
    unsigned high = (unsigned)(p[0] - '0'), low = (unsigned)(p[1] - '0');
    *ret = high * 10 + low;
    return high < 10 && low < 10 && *ret <= max;
}

/* Days since 1970 of a day in the Gregorian calendar. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    unsigned y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return (int64_t)365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Digits of a fraction; what is beyond nanoseconds is passed over. Behind them; NULL: there is none. */
static const char *read_fraction(const char *p, const char *end, uint32_t *ret)
{
    uint32_t n = 0, unit = 1000000000;
    const char *begin = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        unit /= 10;
        n += (uint32_t)(*p - '0') * unit;
    }
    *ret = n;
    return p > begin ? p : NULL;
}

/* Z, +02:00 or +0200, which must be all that is left. */
static bool read_zone(const char *p, const char *end, int64_t *ret)
{
    unsigned hours, minutes;
    if (end - p == 1 && (*p | 0x20) == 'z') {
        *ret = 0;
        return true;
    }
    if ((end - p != 6 && end - p != 5) || (*p != '+' && *p != '-') || (end - p == 6 && p[3] != ':') ||
        !two(p + 1, 23, &hours) || !two(end - 2, 59, &minutes)) {
        return false;
    }
    *ret = (int64_t)(hours * 60 + minutes) * 60 * (*p == '-' ? -1 : 1);
    return true;
}

static bool in_range(int64_t sec, uint32_t nsec, struct tail_time *ret)
{
    if (sec < 0 || sec > UINT32_MAX) {
        return false;
    }
    *ret = (struct tail_time){(uint32_t)sec, nsec};
    return true;
}

bool tail_rfc3339_read(const char *text, size_t size, struct tail_time *ret)
{
    unsigned century, year, month, day, hour, minute, second;
    const char *p = text + 19, *end = text + size;
    uint32_t nsec = 0;
    int64_t zone;
    if (size < 20 || text[4] != '-' || text[7] != '-' ||
        (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' || text[16] != ':' ||
        !two(text, 99, &century) || !two(text + 2, 99, &year) || !two(text + 5, 12, &month) ||
        !two(text + 8, 31, &day) || !two(text + 11, 23, &hour) || !two(text + 14, 59, &minute) ||
        !two(text + 17, 60, &second)) {
        return false;
    }
    year += century * 100;
    if (month == 0 || day == 0 || day > days_in(year, month)) {
        return false;
    }
    if (*p == '.' && !(p = read_fraction(p + 1, end, &nsec))) {
        return false;
    }
    if (!read_zone(p, end, &zone)) {
        return false;
    }
    int64_t sec = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone;
    return in_range(sec, nsec, ret);
}

/* -- Formats ------------------------------------------------------------------------------------------ */

/* Whether the format has one of these conversions, whatever E or O stands before it. */
static bool has(const char *format, const char *conversions)
{
    for (const char *p = format; *p; p++) {
        if (*p == '%') {
            p += strspn(p + 1, "EO_-0^#") + 1;
            if (!*p) {
                return false;
            }
            if (strchr(conversions, *p)) {
                return true;
            }
        }
    }
    return false;
}

/* Where %L stands, or NULL. */
static const char *find_fraction(const char *format)
{
    for (const char *p = format; *p; p++) {
        if (*p == '%') {
            if (p[1] == 'L') {
                return p;
            }
            p += p[1] != 0;
        }
    }
    return NULL;
}

static int set_format(struct tail_times *times, const char *format)
{
    const char *fraction = find_fraction(format);
    if (!has(format, "YyCGsDFcxTRHIMSXrdejmbBhLk")) {
        return -EINVAL; /* nothing of a time in it */
    }
    times->iso = strcmp(format, "%Y-%m-%dT%H:%M:%S.%L%z") == 0 ||
                 strcmp(format, "%Y-%m-%dT%H:%M:%S%z") == 0 || strcmp(format, "%FT%T.%L%z") == 0 ||
                 strcmp(format, "%FT%T%z") == 0;
    times->yearless = !has(format, "YyCGgsDFcx+");
    times->before = fraction ? strndup(format, (size_t)(fraction - format)) : strdup(format);
    times->after = fraction ? strdup(fraction + 2) : NULL;
    return !times->before || (fraction && !times->after) ? -ENOMEM : 0;
}

int tail_times_create(const char *format, struct tail_times **ret)
{
    static const struct {
        const char *name;
        uint64_t unit;
    } epochs[] = {{"epoch", 1000000000}, {"epoch_ms", 1000000}, {"epoch_us", 1000}, {"epoch_ns", 1}};
    struct tail_times *times = calloc(1, sizeof(*times));
    int r = 0;
    if (!times) {
        return -ENOMEM;
    }
    for (size_t i = 0; format && i < sizeof(epochs) / sizeof(*epochs); i++) {
        times->unit = strcasecmp(format, epochs[i].name) == 0 ? epochs[i].unit : times->unit;
    }
    times->iso = !format;
    r = format && !times->unit ? set_format(times, format) : 0;
    if (r < 0) {
        tail_times_destroy(times);
        return r;
    }
    *ret = times;
    return 0;
}

void tail_times_destroy(struct tail_times *times)
{
    if (times) {
        free(times->before);
        free(times->after);
        free(times);
    }
}

/* -- Numbers ------------------------------------------------------------------------------------------ */

static uint64_t unit_of(const struct tail_times *times)
{
    return times->unit ? times->unit : 1000000000;
}

bool tail_times_of_integer(const struct tail_times *times, uint64_t n, struct tail_time *ret)
{
    uint64_t per_second = 1000000000 / unit_of(times), sec = n / per_second;
    return sec <= UINT32_MAX && in_range((int64_t)sec, (uint32_t)(n % per_second * unit_of(times)), ret);
}

bool tail_times_of_double(const struct tail_times *times, double n, struct tail_time *ret)
{
    uint64_t units = 1000000000 / unit_of(times); /* of a second */
    double per_second = (double)units, sec = floor(n / per_second);
    if (!(sec >= 0 && sec <= UINT32_MAX)) {
        return false;
    }
    double nsec = (n / per_second - sec) * 1e9;
    return in_range((int64_t)sec, nsec < 999999999 ? (uint32_t)nsec : 999999999, ret);
}

/* Digits, and a fraction of up to nine: read without rounding. */
static bool read_number(const struct tail_times *times, const char *p, const char *end, struct tail_time *ret)
{
    uint64_t n = 0;
    uint32_t fraction = 0;
    const char *begin = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (p - begin > 18) {
            return false;
        }
        n = n * 10 + (uint64_t)(*p - '0');
    }
    if (p == begin || (p < end && (*p != '.' || read_fraction(p + 1, end, &fraction) != end))) {
        return false;
    }
    if (!tail_times_of_integer(times, n, ret)) {
        return false;
    }
    ret->nsec += (uint32_t)((uint64_t)fraction * unit_of(times) / 1000000000);
    return true;
}

/* -- By format ---------------------------------------------------------------------------------------- */

/* A time that comes without a year is of the last twelve months, or at most a day ahead. */
static int64_t with_year(struct tm *tm, int64_t now)
{
    struct tm today;
    time_t t = (time_t)now;
    gmtime_r(&t, &today);
    tm->tm_year = today.tm_year;
    struct tm copy = *tm;
    int64_t sec = timegm(&copy);
    if (sec - tm->tm_gmtoff > now + 86400) {
        tm->tm_year--;
        copy = *tm;
        sec = timegm(&copy);
    }
    return sec;
}

static bool read_format(const struct tail_times *times, const char *text, const char *end, int64_t now,
                        struct tail_time *ret)
{
    struct tm tm = {.tm_mday = 1, .tm_year = 70};
    uint32_t nsec = 0;
    const char *p = strptime(text, times->before, &tm);
    if (p && times->after) {
        p = read_fraction(p, end, &nsec);
        p = p ? strptime(p, times->after, &tm) : NULL;
    }
    if (p != end) {
        return false;
    }
    long zone = tm.tm_gmtoff;
    int64_t sec = times->yearless ? with_year(&tm, now) : timegm(&tm);
    return in_range(sec - zone, nsec, ret);
}

bool tail_times_read(const struct tail_times *times, const char *text, size_t size, int64_t now,
                     struct tail_time *ret)
{
    char copy[TEXT_MAX];
    if (times->iso && tail_rfc3339_read(text, size, ret)) {
        return true;
    }
    if (!times->before) {
        return read_number(times, text, text + size, ret);
    }
    if (size >= sizeof(copy) || memchr(text, 0, size)) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
    return read_format(times, copy, copy + size, now, ret);
}
