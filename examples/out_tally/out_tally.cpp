// SPDX-License-Identifier: 0BSD
//
// out_tally: counts the records of each tag, and writes the table to `path` when it stops. In C++17, to show
// what matters there: no exception may leave a callback (the caller is C), the descriptor has C linkage by
// its declaration in plugin.h, and its members are given in order, since C++17 has no names for them.
#include <cerrno>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <weir/plugin.h>

namespace {

struct Config {
    const char *path;
};

class Tally {
  public:
    Tally(const weir_host *host, weir_instance *instance, const Config *config)
        : host_(host), instance_(instance), config_(config)
    {
    }

    int start()
    {
        file_.reset(std::fopen(config_->path, "we"));
        if (file_)
            return 0;
        const int error = errno;
        host_->error(instance_, "can't open %s: error %d", config_->path, error);
        return -error;
    }

    void count(const weir_chunk *chunk)
    {
        counts_[chunk->tag] += chunk->records;
    }

    void stop()
    {
        for (const auto &[tag, records] : counts_)
            std::fprintf(file_.get(), "%s %llu\n", tag.c_str(), static_cast<unsigned long long>(records));
        if (std::fflush(file_.get()) != 0)
            host_->log(instance_, WEIR_LOG_ERROR, "can't write to %s", config_->path);
        host_->stopped(instance_);
    }

    // What every callback does with an exception: says it, and gives back an error.
    int failed(const char *what) const
    {
        host_->error(instance_, "%s", what);
        return -ENOMEM;
    }

  private:
    struct Close {
        void operator()(std::FILE *file) const
        {
            std::fclose(file);
        }
    };
    const weir_host *host_;
    weir_instance *instance_;
    const Config *config_;
    std::unique_ptr<std::FILE, Close> file_;
    std::map<std::string, unsigned long long> counts_;
};

int on_create(const weir_host *host, weir_instance *instance, const void *config, void **ret_self)
{
    try {
        *ret_self = new Tally(host, instance, static_cast<const Config *>(config));
        return 0;
    } catch (const std::exception &e) {
        host->error(instance, "%s", e.what());
        return -ENOMEM;
    }
}

int on_start(void *self)
{
    return static_cast<Tally *>(self)->start();
}

int on_write(void *self, weir_chunk *chunk)
{
    try {
        static_cast<Tally *>(self)->count(chunk);
        return WEIR_DELIVERED;
    } catch (const std::exception &e) {
        static_cast<Tally *>(self)->failed(e.what());
        return WEIR_RETRY;
    }
}

void on_stop(void *self)
{
    static_cast<Tally *>(self)->stop();
}

void on_destroy(void *self)
{
    delete static_cast<Tally *>(self);
}

const weir_option options[] = {
    {"path", nullptr, WEIR_OPTION_PATH, WEIR_OPTION_REQUIRED | WEIR_OPTION_WRITES, offsetof(Config, path),
     nullptr, 0, 0, nullptr, "the file that the table is written to"},
    {nullptr, nullptr, WEIR_OPTION_STRING, 0, 0, nullptr, 0, 0, nullptr, nullptr},
};

/* Member by member: what a later header adds is zero, and no warning. constexpr: it is there before any code
 * runs. */
constexpr weir_plugin describe()
{
    weir_plugin plugin{};
    plugin.struct_size = sizeof(weir_plugin);
    plugin.abi_version = WEIR_ABI_VERSION;
    plugin.option_size = sizeof(weir_option);
    plugin.kind = WEIR_OUTPUT;
    plugin.name = "tally";
    plugin.version = "1.0";
    plugin.summary = "counts the records of each tag";
    plugin.options = options;
    plugin.config_size = sizeof(Config);
    plugin.create = on_create;
    plugin.start = on_start;
    plugin.write = on_write;
    plugin.stop = on_stop;
    plugin.destroy = on_destroy;
    return plugin;
}

} // namespace

const weir_plugin weir_plugin_descriptor = describe();
