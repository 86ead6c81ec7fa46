/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/version.h - what this program is made of, and what this kernel lets it use. */
#pragma once

void version_print(void);
