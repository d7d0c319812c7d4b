/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a small file whole. Owns nothing; any thread. */
#include "config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGEST_FILE = 16 * 1024 * 1024, FIRST_ROOM = 16 * 1024 };

/* Twice the room, without leaving a copy of the old text behind: it may be a secret. */
static int enlarge(struct config_file *file, size_t *room)
{
    size_t larger = *room ? 2 * *room : FIRST_ROOM;
    char *text = malloc(larger);
    if (!text)
        return -ENOMEM;
    if (file->text)
        memcpy(text, file->text, file->size);
    config_file_free(&(struct config_file){.text = file->text, .size = file->size});
    file->text = text;
    *room = larger;
    return 0;
}

static int read_all(int fd, struct config_file *file)
{
    size_t room = 0;
    for (;;) {
        int r = file->size == room ? enlarge(file, &room) : 0;
        if (r < 0)
            return r;
        ssize_t n = read(fd, file->text + file->size, room - file->size);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        if (n > 0)
            file->size += (size_t)n;
        if (file->size > LARGEST_FILE)
            return -EFBIG;
    }
}

int config_file_read(const char *path, bool regular, struct config_file *ret)
{
    struct config_file file = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_NONBLOCK : 0));
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (!r && S_ISDIR(st.st_mode))
        r = -EISDIR;
    if (!r && regular && !S_ISREG(st.st_mode))
        r = -EOPNOTSUPP;
    if (!r)
        r = read_all(fd, &file);
    close(fd);
    if (r < 0) {
        config_file_free(&file);
        return r;
    }
    file.id = (struct config_file_id){st.st_dev, st.st_ino};
    file.mode = st.st_mode;
    *ret = file;
    return 0;
}

void config_file_free(struct config_file *file)
{
    if (file->text)
        explicit_bzero(file->text, file->size);
    free(file->text);
    file->text = NULL;
    file->size = 0;
}
