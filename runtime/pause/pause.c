//go:build ignore

// pause: the one process of a pod's sandbox.
//
// It holds the pod's namespaces open, and as the first process of a shared pid namespace it is the parent of every
// orphan in it. It does nothing else, so it needs no libc, no writable data and no wakeups:
//
//   - SIGCHLD is ignored explicitly, which makes the kernel reap children by itself (wait(2), NOTES: POSIX.1-2001),
//     those that were zombies already when they were reparented too.
//   - SIGTERM and SIGINT are blocked and waited for. A blocked signal reaches pid 1 as well, which the kernel otherwise
//     shields from signals that it has no handler for (pid_namespaces(7)).
//
// Rebuild with ./rebuild after a change; the image's tag changes with the binary.

#if defined(__x86_64__)
enum { SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_rt_sigtimedwait = 128, SYS_exit_group = 231 };

static long syscall4(long n, long a, long b, long c, long d) {
	long ret;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
enum { SYS_rt_sigaction = 134, SYS_rt_sigprocmask = 135, SYS_rt_sigtimedwait = 137, SYS_exit_group = 94 };

static long syscall4(long n, long a, long b, long c, long d) {
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "pause knows amd64 and arm64 only"
#endif

enum { EINTR = 4, SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, SIG_BLOCK = 0, SIG_IGN = 1 };

// The kernel's own struct sigaction is at most four words on both architectures, the handler first.
enum { SIGSET_BYTES = 8, SIGACTION_WORDS = 4 };

_Noreturn static void quit(long code) {
	for (;;)
		syscall4(SYS_exit_group, code, 0, 0, 0);
}

_Noreturn void _start(void) {
	unsigned long ending = 1UL << (SIGTERM - 1) | 1UL << (SIGINT - 1);
	volatile unsigned long ignore[SIGACTION_WORDS] = {SIG_IGN};
	long sig;

	if (syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&ending, 0, SIGSET_BYTES) < 0)
		quit(2);
	if (syscall4(SYS_rt_sigaction, SIGCHLD, (long)ignore, 0, SIGSET_BYTES) < 0)
		quit(3);
	do // a debugger's or a freezer's stop interrupts the wait
		sig = syscall4(SYS_rt_sigtimedwait, (long)&ending, 0, 0, SIGSET_BYTES);
	while (sig == -EINTR);
	quit(sig > 0 ? 0 : 4);
}
