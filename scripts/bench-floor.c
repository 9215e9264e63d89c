/* The floor of a first copy: the system calls that carrying small files needs, and nothing else.
 *
 *   bench-floor THREADS SOURCE DEST
 *
 * A tree of directories with small files in those at the bottom. Each file: open, look, create a temporary, read, write,
 * set the mtime, close both, rename. No owners, no looks at what may have changed meanwhile, no digest, no log. */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char **directories;
static size_t count, next, source_length;
static const char *dest;

static int found(const char *path, const struct stat *stat, int kind, struct FTW *place) {
  (void)stat, (void)place;
  if (kind != FTW_D) return 0;
  char *made;
  directories = reallocarray(directories, count + 1, sizeof *directories);
  directories[count++] = strdup(path + source_length);
  if (asprintf(&made, "%s%s", dest, path + source_length) < 0) err(1, "memory");
  mkdir(made, 0755); /* The root is there. */
  free(made);
  return 0;
}

static void copy(int from, int to, const char *name) {
  char bytes[65536], temporary[300];
  struct stat seen;
  int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (in < 0 || fstat(in, &seen)) err(1, "%s", name);
  if (seen.st_size > (off_t)sizeof bytes) errx(1, "%s: too large", name);
  snprintf(temporary, sizeof temporary, ".floor.%s", name);
  int out = openat(to, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, seen.st_mode & 0777);
  ssize_t got = read(in, bytes, sizeof bytes);
  if (out < 0 || got < 0 || write(out, bytes, got) != got) err(1, "%s", name);
  struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, seen.st_mtim};
  if (futimens(out, times) || close(out) || close(in)) err(1, "%s", name);
  if (renameat2(to, temporary, to, name, RENAME_NOREPLACE)) err(1, "%s", name);
}

static void *work(void *root) {
  for (size_t index; (index = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;) {
    char *from, *to;
    if (asprintf(&from, "%s%s", (char *)root, directories[index]) < 0 || asprintf(&to, "%s%s", dest, directories[index]) < 0)
      err(1, "memory");
    DIR *listing = opendir(from);
    int into = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!listing || into < 0) err(1, "%s", from);
    for (struct dirent *entry; (entry = readdir(listing));)
      if (entry->d_type == DT_REG) copy(dirfd(listing), into, entry->d_name);
    closedir(listing), close(into), free(from), free(to);
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) errx(2, "bench-floor THREADS SOURCE DEST");
  pthread_t threads[64];
  int wanted = atoi(argv[1]);
  if (wanted < 1 || wanted > 64) errx(2, "1 to 64 threads");
  dest = argv[3], source_length = strlen(argv[2]);
  if (nftw(argv[2], found, 64, FTW_PHYS)) err(1, "%s", argv[2]);
  for (int index = 0; index < wanted; index++)
    if (pthread_create(&threads[index], NULL, work, argv[2])) errx(1, "no thread");
  for (int index = 0; index < wanted; index++) pthread_join(threads[index], NULL);
}
