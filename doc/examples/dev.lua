-- SPDX-License-Identifier: GPL-3.0-or-later
-- What `./dev run` serves: a port that needs no rights, for this machine only.
net.listen('127.0.0.1', 5300)
cache.size = 50 * MB

-- Which instance answered? kdig +nsid, or dig +nsid
modules.load('nsid')
nsid.name(os.getenv('SYSTEMD_INSTANCE'))
