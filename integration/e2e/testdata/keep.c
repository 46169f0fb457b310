/*
 * keep SERVER CLIENT: has libpcpnatpmp ask a PCP server for a port of TCP, keep it
 * until SIGTERM, and then delete it. Addresses are IPv6. Each grant is a line:
 * address, port, and when it ends in seconds since 1970.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>

#include "pcpnatpmp.h"

enum { PORT = 4000, LIFETIME = 6 };

static struct sockaddr_in6 address(const char *text, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	if (inet_pton(AF_INET6, text, &a.sin6_addr) != 1) {
		fprintf(stderr, "%s is no IPv6 address\n", text);
		exit(2);
	}
	return a;
}

/* report prints what was granted if it ends later than what was printed before. */
static void report(pcp_flow_t *flow)
{
	static time_t reported;
	char text[INET6_ADDRSTRLEN] = "?";
	size_t count = 0;
	pcp_flow_info_t *info = pcp_flow_get_info(flow, &count);

	if (count > 0 && info->result == pcp_state_succeeded && info->recv_lifetime_end > reported) {
		reported = info->recv_lifetime_end;
		inet_ntop(AF_INET6, &info->ext_ip, text, sizeof(text));
		printf("%s %d %ld\n", text, ntohs(info->ext_port), (long)reported);
		fflush(stdout);
	}
	free(info);
}

static volatile sig_atomic_t told_to_end;

static void end(int signal)
{
	(void)signal;
	told_to_end = 1;
}

int main(int argc, char **argv)
{
	struct sockaddr_in6 server, client;
	struct timeval pause;
	pcp_ctx_t *ctx;
	pcp_flow_t *flow;
	fd_set ready;

	if (argc != 3) {
		fprintf(stderr, "usage: keep SERVER CLIENT\n");
		return 2;
	}
	server = address(argv[1], 5351);
	client = address(argv[2], PORT);
	pcp_log_level = PCP_LOGLVL_ERR;
	ctx = pcp_init(DISABLE_AUTODISCOVERY, NULL);
	if (!ctx || pcp_add_server(ctx, (struct sockaddr *)&server, 2) < 0)
		return 1;
	flow = pcp_new_flow(ctx, (struct sockaddr *)&client, NULL, NULL, IPPROTO_TCP, LIFETIME, NULL);
	if (!flow)
		return 1;
	signal(SIGTERM, end);
	while (!told_to_end) {
		pause = (struct timeval){ .tv_sec = 1 };
		pcp_pulse(ctx, &pause);
		report(flow);
		FD_ZERO(&ready);
		FD_SET(pcp_get_socket(ctx), &ready);
		select(pcp_get_socket(ctx) + 1, &ready, NULL, NULL, &pause);
	}
	pcp_terminate(ctx, 1);
	return 0;
}
