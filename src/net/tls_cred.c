/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_cred.c - certificates and their keys: from files, or an ephemeral one. */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/tls_internal.h"

enum {
	DAY_S = 86400,
	EPHEMERAL_DAYS = 90,
	EPHEMERAL_LEFT_S = 7 * DAY_S, /* then there is a new one */
	PEM_MAX = 64 * 1024,
	FILE_MAX = 1024 * 1024, /* all authorities of a system are a quarter of it */
	DATE_LEN = 32,
	SERIAL_LEN = 16,
	PATH_LEN = 256,
};

/* --- the ephemeral certificate ---------------------------------------------------- */

static int make_key(gnutls_x509_privkey_t *key)
{
	int e = gnutls_x509_privkey_init(key);
	if (e >= 0)
		e = gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
			GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	return e;
}

static int add_name(gnutls_x509_crt_t crt, const char *name)
{
	return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name,
		(unsigned)strlen(name), GNUTLS_FSAN_APPEND);
}

/* By what clients may know us: the host's name, the addresses. */
static int add_names(
	gnutls_x509_crt_t crt, const char *host, const struct tls_conf *conf)
{
	bool local = false;
	int e = add_name(crt, host);
	for (size_t i = 0; e >= 0 && i < conf->addr_count; i++) {
		const struct addr *a = &conf->addrs[i];
		e = gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS,
			a->ip, a->family == 4 ? 4 : 16, GNUTLS_FSAN_APPEND);
		local |= addr_is_loopback(a);
	}
	if (e >= 0 && local && strcmp(host, "localhost") != 0)
		e = add_name(crt, "localhost");
	return e;
}

static int fill_crt(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
	const struct tls_conf *conf, int64_t wall_s)
{
	char host[256] = "";
	uint8_t serial[SERIAL_LEN];
	gethostname(host, sizeof(host) - 1);
	if (!*host)
		snprintf(host, sizeof(host), "localhost");
	int e = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] &= 0x7f; /* positive */
	if (e >= 0)
		e = gnutls_x509_crt_set_version(crt, 3);
	if (e >= 0)
		e = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (e >= 0)
		e = gnutls_x509_crt_set_activation_time(crt, wall_s - DAY_S);
	if (e >= 0)
		e = gnutls_x509_crt_set_expiration_time(
			crt, wall_s + (int64_t)EPHEMERAL_DAYS * DAY_S);
	if (e >= 0)
		e = gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
			host, (unsigned)strnlen(host, 64));
	if (e >= 0)
		e = add_names(crt, host, conf);
	if (e >= 0)
		e = gnutls_x509_crt_set_basic_constraints(crt, 0, -1);
	if (e >= 0)
		e = gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
	if (e >= 0)
		e = gnutls_x509_crt_set_key_purpose_oid(
			crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
	if (e >= 0)
		e = gnutls_x509_crt_set_key(crt, key);
	if (e >= 0)
		e = gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
	return e;
}

/* Certificate and key as one PEM text, malloc'ed by GnuTLS. */
static int ephemeral_make(
	const struct tls_conf *conf, int64_t wall_s, gnutls_datum_t *pem)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;
	gnutls_datum_t a = { 0 }, b = { 0 };
	int e = make_key(&key);
	if (e >= 0)
		e = gnutls_x509_crt_init(&crt);
	if (e >= 0)
		e = fill_crt(crt, key, conf, wall_s);
	if (e >= 0)
		e = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &a);
	if (e >= 0)
		e = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &b);
	if (e >= 0) {
		pem->data = gnutls_malloc(a.size + b.size + 1);
		pem->size = a.size + b.size;
		if (pem->data) {
			memcpy(pem->data, a.data, a.size);
			memcpy(pem->data + a.size, b.data, b.size);
			pem->data[pem->size] = 0;
		} else {
			e = GNUTLS_E_MEMORY_ERROR;
		}
	}
	if (b.data)
		explicit_bzero(b.data, b.size);
	gnutls_free(a.data);
	gnutls_free(b.data);
	if (crt)
		gnutls_x509_crt_deinit(crt);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return e;
}

/* When its certificate ends; 0: unusable. */
static int64_t pem_end(const gnutls_datum_t *pem)
{
	gnutls_x509_crt_t crt;
	int64_t end = 0;
	if (gnutls_x509_crt_init(&crt) < 0)
		return 0;
	if (gnutls_x509_crt_import(crt, pem, GNUTLS_X509_FMT_PEM) >= 0)
		end = gnutls_x509_crt_get_expiration_time(crt);
	gnutls_x509_crt_deinit(crt);
	return end;
}

/* What another process of ours put there, unless it ends soon. */
static bool ephemeral_read(const char *path, int64_t wall_s, gnutls_datum_t *pem)
{
	struct stat st;
	char *text;
	size_t len;
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & 077) || fd_read_file(path, PEM_MAX, &text, &len) < 0)
		return false;
	*pem = (gnutls_datum_t){ .data = (unsigned char *)text, .size = (unsigned)len };
	if (pem_end(pem) > wall_s + EPHEMERAL_LEFT_S)
		return true;
	free(text);
	return false;
}

/* Whole or not at all. The first of several wins, unless its certificate ends. */
static void ephemeral_write(const char *path, const gnutls_datum_t *pem, int64_t wall_s)
{
	char fresh[PATH_LEN + 16];
	gnutls_datum_t old;
	snprintf(fresh, sizeof(fresh), "%s.%d", path, (int)getpid());
	(void)unlink(fresh);
	int fd =
		open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	const bool fine = fd_write_all(fd, pem->data, pem->size) == 0;
	fd_close(&fd);
	if (fine && link(fresh, path) < 0 && errno == EEXIST) {
		if (ephemeral_read(path, wall_s, &old))
			free(old.data);
		else
			(void)rename(fresh, path);
	}
	(void)unlink(fresh);
}

static int take_pem(struct tls_cred *c, const gnutls_datum_t *pem)
{
	return gnutls_certificate_set_x509_key_mem(
		c->x509, pem, pem, GNUTLS_X509_FMT_PEM);
}

/* Instances with the same addresses, in whatever order, share one; others do not learn
 * each other's addresses from it. */
static void ephemeral_path(const struct tls_conf *conf, char out[static PATH_LEN])
{
	static const struct hash_key key = { 0, 0 };
	uint64_t sum = 0;
	for (size_t i = 0; i < conf->addr_count; i++)
		sum += hash_sip13(&key, conf->addrs[i].ip, sizeof(conf->addrs[i].ip));
	snprintf(out, PATH_LEN, "%.200s/tls-ephemeral-%016" PRIx64 ".pem", conf->folder,
		sum);
}

static int load_ephemeral(
	struct tls_cred *c, const struct tls_conf *conf, int64_t wall_s)
{
	char path[PATH_LEN] = "";
	gnutls_datum_t pem = { 0 };
	int e = 0;
	if (conf->folder && fd_in_memory(conf->folder))
		ephemeral_path(conf, path);
	if (!*path || !ephemeral_read(path, wall_s, &pem)) {
		gnutls_datum_t own;
		e = ephemeral_make(conf, wall_s, &own);
		if (e < 0)
			return e;
		log_notice(TLS, "no certificate configured (net.tls): an ephemeral one "
				"is made, which clients cannot verify");
		if (*path)
			ephemeral_write(path, &own, wall_s);
		if (*path && ephemeral_read(path, wall_s, &pem)) {
			explicit_bzero(own.data, own.size);
			gnutls_free(own.data);
		} else {
			pem = own; /* gnutls_malloc is malloc */
		}
	} else {
		log_notice(TLS,
			"no certificate configured (net.tls): the ephemeral "
			"one of %s is used",
			path);
	}
	e = take_pem(c, &pem);
	c->renew_s = pem_end(&pem) - EPHEMERAL_LEFT_S;
	explicit_bzero(pem.data, pem.size);
	free(pem.data);
	return e < 0 ? e : 0;
}

/* --- files ------------------------------------------------------------------------ */

bool tls_file_read(
	const char *path, gnutls_datum_t *out, char error[static TLS_ERROR_MAX])
{
	char *text;
	size_t len;
	const int e = fd_read_file(path, FILE_MAX, &text, &len);
	if (e == 0 && len) {
		*out = (gnutls_datum_t){ .data = (unsigned char *)text,
			.size = (unsigned)len };
		return true;
	}
	if (e == 0)
		free(text);
	snprintf(error, TLS_ERROR_MAX, "%.200s: %s", path,
		e == 0 ? "is empty" : fd_read_error(e));
	return false;
}

static void drop_text(gnutls_datum_t *text)
{
	if (text->data)
		explicit_bzero(text->data, text->size);
	free(text->data);
}

/* What is to be known of the certificate that stands first. False: it cannot be read. */
static bool read_first(struct tls_cred *c, int number, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, struct tls_dates *dates)
{
	gnutls_datum_t der;
	gnutls_x509_crt_t crt;
	if (gnutls_x509_crt_init(&crt) < 0)
		return false;
	bool fine = gnutls_certificate_get_crt_raw(
			    c->x509, (unsigned)number, 0, &der) >= 0 &&
		    gnutls_x509_crt_import(crt, &der, GNUTLS_X509_FMT_DER) >= 0;
	if (fine) {
		*dates = (struct tls_dates){ gnutls_x509_crt_get_activation_time(crt),
			gnutls_x509_crt_get_expiration_time(crt), TLS_STEP_NONE };
		fine = !c->names || tls_names_add(c->names, crt, cert, key);
	}
	gnutls_x509_crt_deinit(crt);
	return fine;
}

/* GnuTLS's words are about what it did, not about what the operator did. */
static void explain(const struct tls_pair *p, const gnutls_datum_t *cert,
	const gnutls_datum_t *key, int e, char error[static TLS_ERROR_MAX])
{
	const char *const c = (const char *)cert->data, *const k =
								(const char *)key->data;
	if (!strstr(c, "-----BEGIN CERTIFICATE") && !strstr(c, "-----BEGIN X509"))
		snprintf(error, TLS_ERROR_MAX, "%.200s: holds no certificate in PEM%s",
			p->cert, strstr(c, "PRIVATE KEY-----") ? ", but a key" : "");
	else if (!strstr(k, "PRIVATE KEY-----"))
		snprintf(error, TLS_ERROR_MAX, "%.200s: holds no private key in PEM",
			p->key);
	else if (strstr(k, "ENCRYPTED"))
		snprintf(error, TLS_ERROR_MAX,
			"%.200s: the key is encrypted by a passphrase, which nobody is "
			"there to type",
			p->key);
	else if (e == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
		snprintf(error, TLS_ERROR_MAX,
			"%.200s, %.200s: the key is not of the first certificate, "
			"which "
			"must be the server's own",
			p->cert, p->key);
	else
		snprintf(error, TLS_ERROR_MAX, "%.200s, %.200s: %s", p->cert, p->key,
			e < 0 ? gnutls_strerror(e) : "not a certificate");
}

static bool load_pair(struct tls_cred *c, const struct tls_pair *p,
	struct tls_dates *dates, char error[static TLS_ERROR_MAX])
{
	gnutls_datum_t cert = { 0 }, key = { 0 };
	bool fine = tls_file_read(p->cert, &cert, error) &&
		    tls_file_read(p->key, &key, error);
	if (fine) {
		const int e = gnutls_certificate_set_x509_key_mem(
			c->x509, &cert, &key, GNUTLS_X509_FMT_PEM);
		fine = e >= 0 && read_first(c, e, &cert, &key, dates);
		if (!fine)
			explain(p, &cert, &key, e, error);
	}
	drop_text(&cert);
	drop_text(&key);
	return fine;
}

static bool load_files(struct tls_cred *c, const struct tls_conf *conf,
	char error[static TLS_ERROR_MAX])
{
	gnutls_certificate_set_flags(c->x509, GNUTLS_CERTIFICATE_API_V2);
	if (conf->pair_count > 1 && !(c->names = tls_names_new(conf->pair_count))) {
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return false;
	}
	for (size_t i = 0; i < conf->pair_count; i++)
		if (!load_pair(c, &conf->pairs[i], &c->dates[i], error))
			return false;
	return true;
}

static const char *date(int64_t wall_s, char out[static DATE_LEN])
{
	const time_t t = (time_t)wall_s;
	struct tm tm;
	if (!gmtime_r(&t, &tm) || !strftime(out, DATE_LEN, "%Y-%m-%d %H:%M UTC", &tm))
		snprintf(out, DATE_LEN, "%" PRId64, wall_s);
	return out;
}

static bool is_good(const struct tls_dates *d, int64_t wall_s)
{
	return d->begin_s <= wall_s && wall_s < d->end_s;
}

int64_t tls_dates_step(const struct tls_dates *d, int64_t wall_s)
{
	static const int64_t days[] = { 14, 7, 3, 1 };
	const int64_t left_s = d->end_s - wall_s;
	int64_t step = TLS_STEP_NONE;
	if (d->begin_s > wall_s)
		return TLS_STEP_EARLY;
	/* one that is made for a week is no news in its first days */
	if (left_s > (d->end_s - d->begin_s) / 3)
		return TLS_STEP_NONE;
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++)
		if (left_s <= days[i] * DAY_S)
			step = days[i];
	/* then each day, also behind the end */
	return step == 1 ? 1 - (2 * DAY_S - 1 - left_s) / DAY_S : step;
}

int64_t tls_cred_end(const struct tls_cred *c, size_t pair_count)
{
	int64_t end_s = 0;
	for (size_t i = 0; i < pair_count; i++)
		if (!i || c->dates[i].end_s < end_s)
			end_s = c->dates[i].end_s;
	return end_s;
}

unsigned tls_cred_warn(struct tls_cred *c, const struct tls_conf *conf, int64_t wall_s)
{
	unsigned warned = 0;
	char text[DATE_LEN];
	for (size_t i = 0; i < conf->pair_count; i++) {
		struct tls_dates *d = &c->dates[i];
		const char *path = conf->pairs[i].cert;
		const int64_t step = tls_dates_step(d, wall_s);
		if (step == d->told)
			continue;
		d->told = step;
		if (step == TLS_STEP_NONE)
			continue;
		if (d->begin_s > wall_s)
			log_warning(TLS, "%s: not valid before %s", path,
				date(d->begin_s, text));
		else if (d->end_s <= wall_s)
			log_warning(
				TLS, "%s: expired on %s", path, date(d->end_s, text));
		else
			log_warning(TLS, "%s: expires soon, on %s", path,
				date(d->end_s, text));
		warned++;
	}
	return warned;
}

/* False and `error`: this one is not valid now. */
static bool is_sound(const char *path, const struct tls_dates *d, int64_t wall_s,
	char error[static TLS_ERROR_MAX])
{
	char text[DATE_LEN];
	const bool early = d->begin_s > wall_s;
	if (is_good(d, wall_s))
		return true;
	snprintf(error, TLS_ERROR_MAX, "%.200s: %s %s", path,
		early ? "not valid before" : "expired on",
		date(early ? d->begin_s : d->end_s, text));
	return false;
}

bool tls_cred_is_sound(const struct tls_cred *c, const struct tls_conf *conf,
	int64_t wall_s, char error[static TLS_ERROR_MAX])
{
	for (size_t i = 0; i < conf->pair_count; i++)
		if (!is_sound(conf->pairs[i].cert, &c->dates[i], wall_s, error))
			return false;
	return true;
}

bool tls_cred_is_worse(const struct tls_cred *fresh, const struct tls_cred *old,
	const struct tls_conf *conf, int64_t wall_s, int64_t *from_s,
	char error[static TLS_ERROR_MAX])
{
	*from_s = 0;
	for (size_t i = 0; i < conf->pair_count; i++) {
		const struct tls_dates *d = &fresh->dates[i];
		if (!is_good(&old->dates[i], wall_s) ||
			is_sound(conf->pairs[i].cert, d, wall_s, error))
			continue;
		if (d->begin_s > wall_s)
			*from_s = d->begin_s;
		return true;
	}
	return false;
}

struct tls_cred *tls_cred_load(
	const struct tls_conf *conf, int64_t wall_s, char error[static TLS_ERROR_MAX])
{
	struct tls_cred *c =
		calloc(1, sizeof(*c) + conf->pair_count * sizeof(c->dates[0]));
	if (!c || gnutls_certificate_allocate_credentials(&c->x509) < 0) {
		free(c);
		snprintf(error, TLS_ERROR_MAX, "out of memory");
		return NULL;
	}
	c->refs = 1;
	if (conf->pair_count) {
		if (load_files(c, conf, error))
			return c;
	} else {
		const int e = load_ephemeral(c, conf, wall_s);
		if (e == 0)
			return c;
		snprintf(error, TLS_ERROR_MAX, "an ephemeral certificate: %s",
			gnutls_strerror(e));
	}
	tls_cred_drop(c);
	return NULL;
}

struct tls_cred *tls_cred_hold(struct tls_cred *c)
{
	c->refs++;
	return c;
}

void tls_cred_drop(struct tls_cred *c)
{
	if (!c || --c->refs)
		return;
	tls_names_free(c->names);
	gnutls_certificate_free_credentials(c->x509);
	free(c);
}

static uint64_t mix(uint64_t sum, uint64_t with)
{
	return (sum ^ with) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t tls_file_stamp(uint64_t sum, const char *path)
{
	struct stat st = { 0 };
	(void)stat(path, &st); /* missing: zeros */
	sum = mix(sum, (uint64_t)st.st_dev);
	sum = mix(sum, (uint64_t)st.st_ino);
	sum = mix(sum, (uint64_t)st.st_size);
	sum = mix(sum, (uint64_t)st.st_mtim.tv_sec);
	sum = mix(sum, (uint64_t)st.st_mtim.tv_nsec);
	return mix(sum, (uint64_t)st.st_ctim.tv_nsec);
}

uint64_t tls_cred_stamp(const struct tls_conf *conf)
{
	uint64_t sum = 1;
	for (size_t i = 0; i < conf->pair_count; i++) {
		sum = tls_file_stamp(sum, conf->pairs[i].cert);
		sum = tls_file_stamp(sum, conf->pairs[i].key);
	}
	return sum;
}
