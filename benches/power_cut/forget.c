/* A power cut, for `ephemeris-benches crash --power-cut`: preloaded into the server, this keeps in a
 * directory beside (the mirror) what would be left of the data directory, by the strictest reading
 * of POSIX: the bytes a file had when it was last synced, and the names a directory had when it was
 * last synced. Nothing else lasts. `benches/src/power_cut.rs` puts the data directory back to that.
 *
 *   MIRROR/data/INODE    the bytes of a file at its last fsync or fdatasync
 *   MIRROR/names/INODE   the entries of a directory at its last fsync: kind, inode, name, NUL
 *   MIRROR/keep/INODE    a link to each file seen, so that no inode number is used twice
 *
 * What is noted is noted before the sync itself: whatever is written meanwhile does not count.
 * A file that is mapped to be written ends the program, since such writes are not seen. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void fail(const char *what, const char *path) {
    dprintf(2, "power cut: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

/* Whether the file lies in the data directory; its path goes to `path`. */
static int watched(int fd, char *path) {
    const char *root = getenv("POWER_CUT_DATA");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (!root || length < 0) return 0;
    path[length] = 0;
    size_t root_length = strlen(root);
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || !path[root_length]);
}

static void mirror_path(char *out, const char *kind, ino_t inode) {
    snprintf(out, PATH_MAX, "%s/%s/%lu", getenv("POWER_CUT_MIRROR"), kind, (unsigned long)inode);
}

static void keep(const char *path, ino_t inode) {
    char kept[PATH_MAX];
    mirror_path(kept, "keep", inode);
    /* It may be kept already, or be gone again. */
    if (link(path, kept) && errno != EEXIST && errno != ENOENT) fail("keeping", path);
}

static void put(int to, const char *bytes, size_t length, const char *path) {
    while (length) {
        ssize_t done = write(to, bytes, length);
        if (done < 0) fail("writing", path);
        bytes += done;
        length -= done;
    }
}

/* The first bytes only: what is appended while the lock is waited for was not synced. */
static void note_file(int to, const char *path, off_t size) {
    char *buffer = malloc(1 << 20);
    /* The file may be open to be written only. */
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || !buffer) fail("reading", path);
    ssize_t length = 0;
    while (size > 0) {
        size_t wanted = size < 1 << 20 ? (size_t)size : 1 << 20;
        length = read(from, buffer, wanted);
        if (length <= 0) break;
        put(to, buffer, length, path);
        size -= length;
    }
    if (length < 0) fail("reading", path);
    close(from);
    free(buffer);
}

static void note_directory(int to, const char *path) {
    DIR *directory = opendir(path);
    if (!directory) fail("reading", path);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        char child[PATH_MAX + 256], line[PATH_MAX];
        int is_directory = entry->d_type == DT_DIR;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (!is_directory) keep(child, entry->d_ino);
        int length = snprintf(line, sizeof line, "%c%lu %s", is_directory ? 'd' : 'f',
                              (unsigned long)entry->d_ino, entry->d_name);
        put(to, line, length + 1, path);
    }
    closedir(directory);
}

static void note(int fd) {
    char path[PATH_MAX], noted[PATH_MAX], unfinished[PATH_MAX];
    struct stat about;
    if (!watched(fd, path) || fstat(fd, &about)) return;
    int is_directory = S_ISDIR(about.st_mode);
    /* A file without a name is nothing anybody finds again. */
    if (!is_directory && about.st_nlink == 0) return;
    pthread_mutex_lock(&lock);
    struct stat named;
    if (!stat(path, &named) && named.st_ino == about.st_ino) {
        if (!is_directory) keep(path, about.st_ino);
        mirror_path(noted, is_directory ? "names" : "data", about.st_ino);
        snprintf(unfinished, sizeof unfinished, "%s/unfinished", getenv("POWER_CUT_MIRROR"));
        int to = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (to < 0) fail("writing", unfinished);
        if (is_directory) note_directory(to, path);
        else note_file(to, path, about.st_size);
        close(to);
        if (rename(unfinished, noted)) fail("renaming", unfinished);
    }
    pthread_mutex_unlock(&lock);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    note(fd);
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    note(fd);
    return real(fd);
}

static void refuse_mapping(int protection, int flags, int fd) {
    char path[PATH_MAX];
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) && watched(fd, path))
        fail("writes are not seen through a mapping of", path);
}

typedef void *(*map_call)(void *, size_t, int, int, int, off_t);

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    static map_call real;
    if (!real) real = (map_call)dlsym(RTLD_NEXT, "mmap");
    refuse_mapping(protection, flags, fd);
    return real(at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap(at, length, protection, flags, fd, offset);
}
