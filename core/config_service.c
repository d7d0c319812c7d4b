/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of the service section, and its parsing. Owns nothing that lasts but the table. Control thread.
 */
#include "config.h"

#include <string.h>
#include "config_private.h"
#include "privileges.h"

#define MILLISECOND INT64_C(1000000)
#define SECOND      (1000 * MILLISECOND)
#define HOUR        (3600 * SECOND)
#define MEBIBYTE    (INT64_C(1) << 20)

/* In the order of enum weir_log_level; Fluent Bit's second spelling of warn comes last. */
static const char *const log_levels[] = {"off", "error", "warn", "info", "debug", "trace", "warning", NULL};
enum { LOG_LEVEL_WARNING = 6 };

/* In the order of enum log_format. */
static const char *const log_formats[] = {"text", "json", NULL};

#define IS_STORAGE                                                                                           \
    "followed files are the buffer, and memory_limit bounds what is in flight; an input that can't be read " \
    "again has storage: disk and storage_limit of its own"
#define IS_PARSERS "an input has its parsers as options of its own: weir plugins NAME lists them"
#define IS_DNS     "weir resolves names through the system's resolver: see resolv.conf(5)"
#define IS_RELOAD  "weir always can: SIGHUP, weir reload, or POST /api/v1/reload"
#define IS_HEALTH  "weir's /readyz says whether inputs and outputs run; there is nothing to tune"

/* clang-format off: a row is a line. */
const struct weir_option config_service_options[] = {
    {"log_level", NULL, WEIR_OPTION_CHOICE, 0, offsetof(struct service, log_level), "info", 0, 0, log_levels,
     "How much weir says about itself."},
    {"log_format", NULL, WEIR_OPTION_CHOICE, 0, offsetof(struct service, log_format), "text", 0, 0,
     log_formats, "How weir's own log is written."},
    {"log_file", NULL, WEIR_OPTION_PATH, WEIR_OPTION_WRITES, offsetof(struct service, log_file), NULL, 0, 0,
     NULL, "Where weir's own log goes; standard error where not set."},
    {"data_dir", NULL, WEIR_OPTION_PATH, 0, offsetof(struct service, data_dir), "/var/lib/weir", 0, 0, NULL,
     "Where positions are kept; empty: nowhere. Without a configuration file the default is nowhere."},
    {"grace", NULL, WEIR_OPTION_DURATION, 0, offsetof(struct service, grace), "5s", 0, 24 * HOUR, NULL,
     "How long outputs may go on delivering after a stop."},
    {"input_threads", NULL, WEIR_OPTION_INT, 0, offsetof(struct service, input_threads), "1", 1, 64, NULL,
     "Threads that inputs are spread over."},
    {"plugin_dir", NULL, WEIR_OPTION_STRING, 0, offsetof(struct service, plugin_dir), NULL, 0, 0, NULL,
     "Directories with plugins, separated by colons."},
    {"memory_limit", NULL, WEIR_OPTION_SIZE, 0, offsetof(struct service, memory_limit), "256M", MEBIBYTE,
     INT64_MAX, NULL, "How much data may be in flight; inputs wait when it is reached."},
    {"checkpoint_interval", NULL, WEIR_OPTION_DURATION, 0, offsetof(struct service, checkpoint_interval),
     "1s", 10 * MILLISECOND, HOUR, NULL, "How often acknowledged positions are written."},
    {"scheduler.base", NULL, WEIR_OPTION_DURATION, 0, offsetof(struct service, retry_base), "100ms",
     MILLISECOND, HOUR, NULL, "The first pause before an output tries again; it doubles from there."},
    {"scheduler.cap", NULL, WEIR_OPTION_DURATION, 0, offsetof(struct service, retry_cap), "30s", MILLISECOND,
     24 * HOUR, NULL, "The longest pause before an output tries again."},
    {"watchdog", NULL, WEIR_OPTION_DURATION, 0, offsetof(struct service, watchdog), "30s", 0, 24 * HOUR, NULL,
     "How long a plugin may hold up a thread of its own or an input loop before the log names it; 0: never."},
    {"flush", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL,
     "weir has no flush timer: records go on as soon as they are read"},
    {"daemon", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL,
     "weir runs in the foreground: let systemd or another supervisor keep it"},
    {"coro_stack_size", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL,
     "weir has no coroutines: an output has a thread of its own"},
    {"dns.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_DNS},
    {"parsers_file", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_PARSERS},
    {"plugins_file", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL,
     "list plugin files under plugins: at the top of this file instead"},
    {"streams_file", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, "weir has no stream processor"},
    {"sp.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, "weir has no stream processor"},
    {"storage.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_STORAGE},
    {"multiline_buffer_limit", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_PARSERS},
    {"http_server", NULL, WEIR_OPTION_BOOL, 0, offsetof(struct service, http_server), "off", 0, 0, NULL,
     "Serves metrics, health and status over HTTP."},
    {"http_listen", NULL, WEIR_OPTION_STRING, 0, offsetof(struct service, http_listen), "127.0.0.1", 0, 0,
     NULL, "The address to serve them at; unix:PATH for a local socket."},
    {"http_port", NULL, WEIR_OPTION_INT, 0, offsetof(struct service, http_port), "2020", 1, 65535, NULL,
     "The port to serve them at."},
    {"http_token", NULL, WEIR_OPTION_SECRET, 0, offsetof(struct service, http_token), NULL, 0, 0, NULL,
     "Who asks must send it: Authorization: Bearer TOKEN."},
    {"http_hosts", NULL, WEIR_OPTION_LIST, 0, offsetof(struct service, http_hosts), NULL, 0, 0, NULL,
     "Names besides localhost and IP addresses that a request's Host may have."},
    {"sandbox", NULL, WEIR_OPTION_BOOL, 0, offsetof(struct service, sandbox), "off", 0, 0, NULL,
     "The kernel holds weir to the files that its configuration names, and to the system calls that it needs."},
    {"sandbox_read", NULL, WEIR_OPTION_LIST, 0, offsetof(struct service, sandbox_read), NULL, 0, 0, NULL,
     "More directories and files that the sandbox lets weir and its plugins read."},
    {"sandbox_write", NULL, WEIR_OPTION_LIST, 0, offsetof(struct service, sandbox_write), NULL, 0, 0, NULL,
     "More directories and files that it lets them read and write."},
    {"user", NULL, WEIR_OPTION_STRING, 0, offsetof(struct service, user), NULL, 0, 0, NULL,
     "Who weir becomes when root has started it, with all of that user's groups; a name or a number."},
    {"group", NULL, WEIR_OPTION_STRING, 0, offsetof(struct service, group), NULL, 0, 0, NULL,
     "The group to run as; the user's own where not set."},
    {"keep_capabilities", NULL, WEIR_OPTION_LIST, 0, offsetof(struct service, keep_capabilities), NULL, 0, 0,
     NULL,
     "What user keeps of what root may: dac_read_search (reads every file), net_bind_service, net_raw, syslog."},
    {"health_check", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_errors_count", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_retry_failure_count", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_throughput", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_throughput_input_plugins", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_throughput_output_plugins", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_throughput_ratio_threshold", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_throughput_min_failures", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hc_period", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_HEALTH},
    {"hot_reload", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_RELOAD},
    {"hot_reload.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, IS_RELOAD},
    {"json.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL,
     "weir writes every record's values as they are; JSON's form is set at the output"},
    {"windows.*", NULL, WEIR_OPTION_IGNORED, 0, 0, NULL, 0, 0, NULL, "weir runs on Linux only"},
    {NULL, NULL, 0, 0, 0, NULL, 0, 0, NULL, NULL},
};
/* clang-format on */

static const struct origin *origin_of(const struct section *section, const char *name)
{
    const struct setting *setting = section_get(section, name);
    return setting ? &setting->origin : &section->origin;
}

void config_parse_service(struct config *config, struct problems *problems)
{
    struct config_private *private = config_private(config);
    struct service *service = &config->service;
    const struct option_table table = {
        .options = config_service_options,
        .row_size = sizeof(struct weir_option),
        .values = service,
        .values_size = sizeof *service,
    };
    int r = option_parse(&private->service, "service", &table, 1, &private->service_memory, problems);
    if (r < 0 && !problems->errors)
        problem_error(problems, NULL, "service: %s", strerror(-r));
    if (r < 0)
        return;
    if (service->log_level == LOG_LEVEL_WARNING)
        service->log_level = WEIR_LOG_WARN;
    if (private->command_line && !section_get(&private->service, "data_dir"))
        service->data_dir = NULL;
    if (service->retry_base > service->retry_cap)
        problem_error(problems, origin_of(&private->service, "scheduler.base"),
                      "service: option 'scheduler.base' is longer than 'scheduler.cap'");
    if (!service->sandbox && (service->sandbox_read.count || service->sandbox_write.count))
        problem_warn(
            problems,
            origin_of(&private->service, service->sandbox_read.count ? "sandbox_read" : "sandbox_write"),
            "service: without 'sandbox: on' this has no effect");
    privileges_check(service, &private->service, problems);
}
