/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/transport.h - how a query came. */
#pragma once

/* Zero is what answers must be short for; all others carry 64 KiB. */
enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS, TRANSPORT_HTTPS };
