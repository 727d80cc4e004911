// lookup asks the C library that it is built with for the addresses of names, as programs do. Each argument is 4, 6 or 0
// (either family), a colon and a name, and has one line of output: the addresses, "none" when there are none, or the error.
// The command "tool lookup" says the same of Go's resolver.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void lookup(int family, const char *name) {
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *all = NULL;
	int code = getaddrinfo(name, NULL, &hints, &all);
	if (code == EAI_NONAME || code == EAI_NODATA) {
		printf("none");
	} else if (code != 0) {
		printf("error: %s", gai_strerror(code));
	}
	for (struct addrinfo *a = all; a != NULL; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];
		const void *address = a->ai_family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr
		                                               : (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr;
		printf("%s ", inet_ntop(a->ai_family, address, text, sizeof text));
	}
	printf("\n");
	if (all != NULL) {
		freeaddrinfo(all);
	}
}

int main(int count, char **args) {
	if (count == 2 && strcmp(args[1], "sleep") == 0) { // a pod's main program
		for (;;) {
			pause();
		}
	}
	for (int i = 1; i < count; i++) {
		if (args[i][0] == 0 || args[i][1] != ':') {
			fprintf(stderr, "lookup: %s is not 4:NAME, 6:NAME or 0:NAME\n", args[i]);
			return 2;
		}
		lookup(args[i][0] == '4' ? AF_INET : args[i][0] == '6' ? AF_INET6 : AF_UNSPEC, args[i] + 2);
	}
	return 0;
}
