-- SPDX-License-Identifier: GPL-3.0-or-later
-- A resolver for this machine. See shoal.lua(5) for all that can be said here.
-- Every instance reads this file; os.getenv('SYSTEMD_INSTANCE') is its name.

net.listen('127.0.0.1', 53)
net.listen('::1', 53, { freebind = true })

-- Only local networks are answered. Others, if they must be:
-- net.listen('192.0.2.53', 53)
-- net.allow{ '192.0.2.0/24' }

cache.size = 100 * MB

-- Which instance answered? kdig +nsid
modules.load('nsid')
nsid.name(os.getenv('SYSTEMD_INSTANCE'))
