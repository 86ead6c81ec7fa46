/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/completion.c - `shoal completion bash`: from the table of commands. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const char head[] =
	"# bash completion of shoal(1), printed by `shoal completion bash`\n"
	"_shoal() {\n"
	"\tlocal word=${COMP_WORDS[COMP_CWORD]}"
	" before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
	"\tCOMPREPLY=()\n"
	"\tcase $before in\n"
	"\t-c | --config)\n"
	"\t\tcompopt -o filenames\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	"\t\treturn\n"
	"\t\t;;\n"
	"\t-i | --instance)\n"
	"\t\twords=$(ls \"${SHOAL_RUN:-/run/shoal}/stats\" 2>/dev/null)\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	"\t\treturn\n"
	"\t\t;;\n"
	"\tesac\n";

static const char tail[] =
	"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
	"}\n"
	"complete -F _shoal shoal\n";

static void print_names(void)
{
	for (size_t i = 0; i < command_count; i++)
		printf("%s%s", i ? " " : "", commands[i].name);
}

int cli_completion(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return cli_explain("completion");
	if (argc != 2 || strcmp(argv[1], "bash") != 0)
		return cli_usage("completion");
	fputs(head, stdout);
	printf("\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='");
	print_names();
	printf(" --help --version'\n\telse case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, "help") != 0)
			printf("\t%s) words='%s' ;;\n", commands[i].name,
				commands[i].options);
	printf("\thelp) words='");
	print_names();
	printf("' ;;\n");
	fputs("\tesac; fi\n", stdout);
	fputs(tail, stdout);
	return 0;
}
