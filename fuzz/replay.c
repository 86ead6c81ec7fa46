/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz/replay.c - runs a fuzzer's property over the files of its corpus, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *folder, const char *name)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 1;
	}
	/* exactly as long as the file, so that a sanitizer sees any read past it */
	fseek(f, 0, SEEK_END);
	const long size = ftell(f);
	rewind(f);
	uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
	const size_t got = data ? fread(data, 1, (size_t)size, f) : 0;
	fclose(f);
	if (data && got == (size_t)size)
		LLVMFuzzerTestOneInput(data, got);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
		return 2;
	}
	DIR *d = opendir(argv[1]);
	if (!d) {
		perror(argv[1]);
		return 1;
	}
	int count = 0, bad = 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.') {
			bad += replay_file(argv[1], e->d_name);
			count++;
		}
	closedir(d);
	printf("%d files replayed\n", count);
	return bad || !count; /* an empty corpus proves nothing */
}
