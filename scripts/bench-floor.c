/* The floor: the system calls that a work needs, and nothing else.
 *
 *   bench-floor idle THREADS SOURCE DEST   nothing to do: list and look at each name on both sides, join them by name, compare
 *   bench-floor copy THREADS SOURCE DEST   a first copy of small files: open, look, create a temporary, read, write, set the
 *                                          mtime, close both, rename
 *
 * A directory is the work of one thread, and what lies in it somebody else's. No owners, no looks at what may have changed
 * meanwhile, no digest, no log, and whatever is not as expected ends it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories that wait, by their path below the roots, and how many wait or are in hand. */
static struct waiting { struct waiting *next; char path[]; } *waiting;
static size_t unfinished;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static const char *source, *dest;
static void (*visit)(const char *path, int from, int to);

static void push(const char *parent, const char *name) {
  struct waiting *new = malloc(sizeof *new + strlen(parent) + strlen(name) + 2);
  if (!new) err(1, "memory");
  sprintf(new->path, "%s/%s", parent, name);
  pthread_mutex_lock(&lock);
  new->next = waiting, waiting = new, unfinished++;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&lock);
}

static int open_below(const char *root, const char *path) {
  char whole[4096];
  snprintf(whole, sizeof whole, "%s%s", root, path);
  int directory = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) err(1, "%s", whole);
  return directory;
}

static void *work(void *nothing) {
  pthread_mutex_lock(&lock);
  while (unfinished) {
    struct waiting *taken = waiting;
    if (!taken) {
      pthread_cond_wait(&changed, &lock);
      continue;
    }
    waiting = taken->next;
    pthread_mutex_unlock(&lock);
    int from = open_below(source, taken->path), to = open_below(dest, taken->path);
    visit(taken->path, from, to);
    close(from), close(to), free(taken);
    pthread_mutex_lock(&lock);
    if (--unfinished == 0) pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return nothing;
}

/* The next entry that is neither the directory itself nor the one above. */
static struct dirent *next(DIR *listing) {
  struct dirent *entry;
  while ((entry = readdir(listing)) && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))) {}
  return entry;
}

static DIR *list(int directory) {
  DIR *listing = fdopendir(dup(directory));
  if (!listing) err(1, "list");
  return listing;
}

static void copy_file(int from, int to, const char *name) {
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

static void copy(const char *path, int from, int to) {
  DIR *listing = list(from);
  for (struct dirent *entry; (entry = next(listing));) {
    if (entry->d_type == DT_REG) copy_file(from, to, entry->d_name);
    if (entry->d_type != DT_DIR) continue;
    if (mkdirat(to, entry->d_name, 0755)) err(1, "%s", entry->d_name);
    push(path, entry->d_name);
  }
  closedir(listing);
}

struct seen { char *name; struct stat stat; };
struct listed { struct seen *entries; size_t count, room; };

static int by_name(const void *one, const void *other) {
  return strcmp(((const struct seen *)one)->name, ((const struct seen *)other)->name);
}

static struct listed look(int directory) {
  struct listed listed = {0};
  DIR *listing = list(directory);
  for (struct dirent *entry; (entry = next(listing));) {
    if (listed.count == listed.room) {
      listed.room = 2 * listed.room + 64;
      listed.entries = reallocarray(listed.entries, listed.room, sizeof *listed.entries);
    }
    struct seen *seen = &listed.entries[listed.count++];
    seen->name = strdup(entry->d_name);
    if (fstatat(directory, seen->name, &seen->stat, AT_SYMLINK_NOFOLLOW)) err(1, "%s", seen->name);
  }
  closedir(listing);
  qsort(listed.entries, listed.count, sizeof *listed.entries, by_name);
  return listed;
}

static void idle(const char *path, int from, int to) {
  struct listed ours = look(from), theirs = look(to);
  if (ours.count != theirs.count) errx(1, "%s: not the same names", path);
  for (size_t index = 0; index < ours.count; index++) {
    struct seen *one = &ours.entries[index], *other = &theirs.entries[index];
    if (strcmp(one->name, other->name)) errx(1, "%s/%s: on one side only", path, one->name);
    if (S_ISDIR(one->stat.st_mode)) push(path, one->name);
    else if (one->stat.st_size != other->stat.st_size || one->stat.st_mtim.tv_sec != other->stat.st_mtim.tv_sec)
      errx(1, "%s/%s: not the same", path, one->name);
    free(one->name), free(other->name);
  }
  free(ours.entries), free(theirs.entries);
}

int main(int argc, char **argv) {
  visit = argc != 5 ? NULL : !strcmp(argv[1], "idle") ? idle : !strcmp(argv[1], "copy") ? copy : NULL;
  if (!visit) errx(2, "bench-floor idle|copy THREADS SOURCE DEST");
  pthread_t threads[64];
  int wanted = atoi(argv[2]);
  if (wanted < 1 || wanted > 64) errx(2, "1 to 64 threads");
  source = argv[3], dest = argv[4];
  push("", "");
  for (int index = 0; index < wanted; index++)
    if (pthread_create(&threads[index], NULL, work, NULL)) errx(1, "no thread");
  for (int index = 0; index < wanted; index++) pthread_join(threads[index], NULL);
}
