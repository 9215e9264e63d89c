/* Lets User-Mode Linux 6.1 set the floating-point registers of its processes on processors whose extended
 * state is larger than any that it knows, such as those with AMX.
 *
 * It keeps 2696 bytes for each process (arch/x86/um/user-offsets.c, HOST_FP_SIZE). The kernel takes no less
 * than the whole state (arch/x86/kernel/fpu/regset.c, xstateregs_set), which is 11,008 bytes with AMX. So
 * every PTRACE_SETREGSET fails, and the guest's init dies of it with SIGSEGV. Later releases ask for the size.
 * Here what is missing is put behind it: what the process has there now.
 *
 * Preloaded into linux.uml by scripts/labs/nfs; the guest's own programs do not see it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Larger than the state of any processor there is. UML's stacks are small, and it is one thread. */
static unsigned char whole[64 * 1024] __attribute__((aligned(64)));

static long call(long request, pid_t pid, void *address, void *data) {
  return syscall(SYS_ptrace, request, pid, address, data);
}

long ptrace(enum __ptrace_request request, ...) {
  va_list arguments;
  va_start(arguments, request);
  pid_t pid = va_arg(arguments, pid_t);
  void *address = va_arg(arguments, void *);
  void *data = va_arg(arguments, void *);
  va_end(arguments);

  if (request == PTRACE_SETREGSET && (long)address == NT_X86_XSTATE) {
    struct iovec *given = data;
    struct iovec now = {whole, sizeof whole};
    if (call(PTRACE_GETREGSET, pid, address, &now) < 0)
      return -1;
    if (given->iov_len < now.iov_len) {
      memcpy(whole, given->iov_base, given->iov_len);
      return call(request, pid, address, &now);
    }
  }
  /* The call puts what it peeks where `data` points, libc's function returns it. */
  if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
    long word = 0;
    if (call(request, pid, address, &word) < 0)
      return -1;
    errno = 0;
    return word;
  }
  return call(request, pid, address, data);
}
