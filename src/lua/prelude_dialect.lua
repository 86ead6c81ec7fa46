-- SPDX-License-Identifier: GPL-3.0-or-later
-- The dialect but for policy: net, cache, modules, hints, trust_anchors, stats, worker, event and the globals.
local core = ...

local fail, expect, dialect = core.fail, core.expect, core.dialect
local G, merged = core.defined, core.merged

local function setting(what) core.setting(what) end

local function file_path(what, path)
	expect(what, path, 'string')
	return path
end

--- Units

G.kB, G.MB, G.GB = 1024, 1024 ^ 2, 1024 ^ 3
G.sec, G.second = 1000, 1000
G.minute, G.min = 60000, 60000
G.hour, G.day = 3600000, 86400000

--- net

local default_ports = { tls = 853, doh2 = 443, doh_legacy = 443, webmgmt = 8453 }
local listen_fields = { kind = 'string', tls = 'boolean', freebind = 'boolean', nic_queue = 'number' }

local function listen_options(options)
	if options == nil then return {} end
	expect('net.listen: options', options, 'table')
	for key, value in pairs(options) do
		if not listen_fields[key] then
			fail(("unknown field '%s' of net.listen's options%s"):format(tostring(key),
				type(key) == 'string' and core.suggestion(key, listen_fields) or ''))
		end
		expect('net.listen: ' .. key, value, listen_fields[key])
	end
	return options
end

local function listen_kind(options, port)
	local kind = options.kind or (options.tls and 'tls') or
		(port == 853 and 'tls') or (port == 443 and 'doh2') or 'dns'
	if options.tls ~= nil and kind ~= 'doh2' and options.tls ~= (kind == 'tls') then
		fail(("net.listen: tls = %s does not go with kind '%s'"):format(tostring(options.tls), kind))
	end
	if kind == 'doh' then
		fail("net.listen: kind 'doh' was renamed: use 'doh2' (or 'doh_legacy' for the old module)")
	end
	local number, served = core.kind(kind)
	if not number then
		fail(("net.listen: unknown kind '%s'%s"):format(kind, core.suggestion(kind,
			{ dns = 1, tls = 1, doh2 = 1, xdp = 1, control = 1, webmgmt = 1, doh_legacy = 1 })))
	end
	return kind, number, served
end

local function each_address(what, addresses, fn, depth)
	if depth > 8 then fail(what .. ': nested too deep') end
	if type(addresses) == 'string' then return fn(addresses) end
	expect(what .. ': addresses', addresses, 'table')
	if addresses.addr ~= nil then return each_address(what, addresses.addr, fn, depth + 1) end
	for _, address in ipairs(addresses) do each_address(what, address, fn, depth + 1) end
end

local net = {}

function net.listen(addresses, port, options)
	setting('net.listen')
	if type(port) == 'table' and options == nil then port, options = nil, port end
	options = listen_options(options)
	if port ~= nil then
		expect('net.listen: port', port, 'number')
		if port < 1 or port > 65535 or port % 1 ~= 0 then
			fail(('net.listen: port %s is not within 1..65535'):format(tostring(port)))
		end
	end
	local function kind_of(own_port)
		local kind, number, served = listen_kind(options, own_port)
		-- a start is refused by whoever opens the sockets, in one line
		if not served and core.is_check() then
			core.warn(("net.listen: kind '%s' is not in this version: an instance with it does not start"):format(kind))
		end
		return kind, number
	end
	local given_kind, given_number = kind_of(port)
	each_address('net.listen', addresses, function(address)
		local kind, number, own = given_kind, given_number, address:match('[@#](%d+)$')
		-- ADDRESS@PORT: that port, too, tells the kind
		if own and not options.kind then kind, number = kind_of(tonumber(own)) end
		if address:sub(1, 1) == '/' then
			core.later('net.listen on a path (' .. address .. ')', kind == 'control')
		else
			core.listen(address, port or default_ports[kind] or 53, number, options.freebind or false,
				kind == 'doh2' and options.tls == false)
		end
	end, 0)
	return true
end

function net.close(address, port)
	setting('net.close')
	expect('net.close: address', address, 'string')
	return core.close(address, port)
end

function net.list()
	local list = {}
	for _, l in ipairs(core.listens()) do
		for _, protocol in ipairs(l.kind == 'dns' and { 'udp', 'tcp' } or { 'tcp' }) do
			list[#list + 1] = { kind = l.kind, transport = { family = l.family, ip = l.ip, port = l.port,
				protocol = protocol, freebind = l.freebind } }
		end
	end
	return list
end

net.interfaces = core.interfaces

function net.bufsize(down, up)
	if down ~= nil or up ~= nil then
		setting('net.bufsize')
		if down ~= nil then core.option('bufsize_down', down) end
		core.option('bufsize_up', up == nil and down or up)
	end
	return core.option('bufsize_down'), core.option('bufsize_up')
end

net.tcp_pipeline = core.option_call('net.tcp_pipeline')
net.rate_limit = core.option_call('net.rate_limit')
net.rate_limit_slip = core.option_call('net.rate_limit_slip')
net.tcp_in_idle = core.option_call('net.tcp_in_idle')
net.tls_handshake_timeout = core.option_call('net.tls_handshake_timeout')

for _, family in ipairs({ 4, 6 }) do
	local name = 'outgoing_v' .. family
	net[name] = function(...)
		if select('#', ...) == 0 then return core.outgoing(family) end
		setting('net.' .. name)
		local ip = ...
		if ip ~= nil then expect('net.' .. name, ip, 'string') end
		core.outgoing(family, ip or false)
		return core.outgoing(family)
	end
end

function net.allow(subnets, ...)
	if subnets == nil then return core.allowed() end
	setting('net.allow')
	for _, subnet in ipairs({ subnets, ... }) do
		for _, text in ipairs(core.list('net.allow', subnet)) do
			core.allow(expect('net.allow', text, 'string'))
		end
	end
	return core.allowed()
end

-- The list replaces the one before.
function net.proxy_allowed(subnets)
	if subnets == nil then return core.proxies() end
	setting('net.proxy_allowed')
	local list = core.list('net.proxy_allowed', subnets)
	core.proxy_clear()
	for _, text in ipairs(list) do
		core.proxy_allow(expect('net.proxy_allowed', text, 'string'))
		if text:match('/0+$') then
			core.warn(("net.proxy_allowed: '%s': anybody may say who he is, and is served as that"):format(text))
		end
	end
	return core.proxies()
end

function net.chaos(fields)
	if fields == nil then
		return { hostname = core.text('chaos_hostname'), version = core.text('chaos_version') }
	end
	setting('net.chaos')
	for key, value in pairs(expect('net.chaos', fields, 'table')) do
		if key ~= 'hostname' and key ~= 'version' then
			fail(("unknown field '%s' of net.chaos (it has 'hostname' and 'version')"):format(tostring(key)))
		end
		core.text('chaos_' .. key, expect('net.chaos: ' .. key, value, 'string'))
	end
	return net.chaos()
end

-- What was never set is not the same as nothing said: a name that is not there, a variable of the environment.
local function refuse_nil(what, ...)
	for i = 1, select('#', ...) do
		if select(i, ...) == nil then fail(('%s: argument %d is nil'):format(what, i)) end
	end
end

-- One pair, or a list of pairs: the client's SNI chooses, the first is for who names nothing.
function net.tls(...)
	refuse_nil('net.tls', ...)
	local cert, key = ...
	if cert == nil then
		local pairs_now = core.tls_pairs()
		local first = pairs_now[1]
		return first and { cert_file = first[1], key_file = first[2] } or nil
	end
	setting('net.tls')
	local list = type(cert) == 'table' and cert or { { cert, key } }
	if type(cert) == 'table' and key ~= nil then fail('net.tls: a list of pairs stands alone') end
	if #list == 0 then fail('net.tls: the list of pairs is empty') end
	for _, pair in ipairs(list) do
		expect('net.tls: pair', pair, 'table')
		expect('net.tls: certificate', pair[1], 'string')
		expect('net.tls: key', pair[2], 'string')
	end
	core.tls_clear()
	for _, pair in ipairs(list) do core.tls_pair(pair[1], pair[2]) end
	return true
end
net.tls_server = net.tls

local SECRET_MIN = 32

local function sticket_secret(what, secret)
	if #secret < SECRET_MIN then fail(('%s: at least %d bytes are needed, got %d'):format(what, SECRET_MIN, #secret)) end
	core.tls_secret(secret)
	return true
end

-- Without an argument: a secret of this host alone, which is the default.
function net.tls_sticket_secret(...)
	setting('net.tls_sticket_secret')
	refuse_nil('net.tls_sticket_secret', ...)
	local secret = ...
	if secret == nil then core.tls_secret('') return true end
	return sticket_secret('net.tls_sticket_secret', expect('net.tls_sticket_secret', secret, 'string'))
end

function net.tls_sticket_secret_file(path)
	setting('net.tls_sticket_secret_file')
	local file, reason = io.open(expect('net.tls_sticket_secret_file', path, 'string'), 'rb')
	if not file then fail('net.tls_sticket_secret_file: ' .. reason) end
	local secret = file:read(4096) or ''
	file:close()
	return sticket_secret('net.tls_sticket_secret_file: ' .. path, secret)
end

net.cookies = core.option_call('net.cookies')

-- As other programs are told it: 32 hexadecimal digits.
local function cookie_secret(what, list)
	local secrets = {}
	for i, text in ipairs(list) do
		local hex = expect(what, text, 'string'):match('^%s*(%x+)%s*$')
		if not hex or #hex ~= 32 then fail(('%s: secret %d is not 32 hexadecimal digits'):format(what, i)) end
		secrets[i] = hex:gsub('..', function(byte) return string.char(tonumber(byte, 16)) end)
	end
	core.cookie_clear()
	for _, secret in ipairs(secrets) do core.cookie_secret(secret) end
	return true
end

-- The first makes cookies, all are accepted. Without an argument: secrets of this host alone, which is the default.
function net.cookie_secret(...)
	setting('net.cookie_secret')
	refuse_nil('net.cookie_secret', ...)
	return cookie_secret('net.cookie_secret', { ... })
end

function net.cookie_secret_file(path)
	setting('net.cookie_secret_file')
	local file, reason = io.open(expect('net.cookie_secret_file', path, 'string'), 'r')
	if not file then fail('net.cookie_secret_file: ' .. reason) end
	local list = {}
	for word in (file:read(4096) or ''):gmatch('%S+') do list[#list + 1] = word end
	file:close()
	if #list == 0 then fail('net.cookie_secret_file: ' .. path .. ' holds no secret') end
	return cookie_secret('net.cookie_secret_file: ' .. path, list)
end

local PADDING = 468 -- RFC 8467 section 4.1

function net.tls_padding(block)
	if block ~= nil then
		setting('net.tls_padding')
		if block == true then block = PADDING elseif block == false then block = 0 end
		core.option('tls_padding', block)
	end
	local now = core.option('tls_padding')
	if now == PADDING then return true end
	return now > 1 and now or false
end

-- How a server that is asked over TLS is known: checked, in one form.
local PIN_LEN, TLS_PORT = 32, 853
local base64 = {}
for i, range in ipairs({ 'AZ', 'az', '09' }) do
	for c = range:byte(1), range:byte(2) do base64[string.char(c)] = ({ 0, 26, 52 })[i] + c - range:byte(1) end
end
base64['+'], base64['/'] = 62, 63

local function pin_bytes(what, text)
	expect(what .. ': pin_sha256', text, 'string')
	local bytes, bits, value = {}, 0, 0
	for c in text:gsub('=+$', ''):gmatch('.') do
		local six = base64[c]
		if not six then fail(("%s: pin_sha256 '%s' is not base64"):format(what, text)) end
		value, bits = value * 64 + six, bits + 6
		if bits >= 8 then
			bits = bits - 8
			bytes[#bytes + 1] = string.char(math.floor(value / 2 ^ bits))
			value = value % 2 ^ bits
		end
	end
	if #bytes ~= PIN_LEN then
		fail(("%s: pin_sha256 '%s' is no SHA-256: %d bytes instead of %d"):format(what, text, #bytes, PIN_LEN))
	end
	return table.concat(bytes)
end

local peer_fields = { hostname = 1, ca_file = 1, pin_sha256 = 1, insecure = 1 }

local function tls_authentication(what, p)
	for key in pairs(p) do
		if key ~= 1 and not peer_fields[key] then
			fail(("unknown field '%s' of %s%s"):format(tostring(key), what,
				type(key) == 'string' and core.suggestion(key, peer_fields) or ''))
		end
	end
	local cas, pins = core.list(what .. ': ca_file', p.ca_file), core.list(what .. ': pin_sha256', p.pin_sha256)
	if p.hostname ~= nil then
		expect(what .. ': hostname', p.hostname, 'string')
		if p.hostname == '' then fail(what .. ': hostname is empty') end
	end
	if p.insecure ~= nil then expect(what .. ': insecure', p.insecure, 'boolean') end
	if p.insecure and (#cas > 0 or #pins > 0) then
		fail(what .. ': insecure = true stands neither beside ca_file nor pin_sha256')
	end
	if #cas > 0 and #pins > 0 then fail(what .. ': ca_file and pin_sha256 exclude each other') end
	if #cas > 0 and not p.hostname then fail(what .. ': ca_file needs a hostname') end
	if not p.hostname and #pins == 0 and not p.insecure then
		fail(what .. ': hostname, pin_sha256 or insecure = true is needed: how is the server known?')
	end
	local bytes = {}
	for i, pin in ipairs(pins) do bytes[i] = pin_bytes(what, pin) end
	for _, file in ipairs(cas) do expect(what .. ': ca_file', file, 'string') end
	return cas, table.concat(bytes), pins
end

local tls_clients, tls_peers = {}, {}

-- The number of such a peer; each is made once.
function core.tls_peer_of(what, p)
	expect(what, p, 'table')
	local text = expect(what .. ': address', p[1], 'string')
	local addr = core.addr_text(text, TLS_PORT) or fail(("%s: '%s' is not an address"):format(what, text))
	if next(p, 1) == nil and next(p) == 1 then p = tls_clients[addr] or p end
	local cas, pins, pin_texts = tls_authentication(what, p)
	local key = table.concat({ addr, p.hostname or '', table.concat(cas, '\1'), table.concat(pin_texts, '\1'),
		tostring(p.insecure or false) }, '\0')
	if not tls_peers[key] then
		core.setting(what)
		tls_peers[key] = core.tls_peer(what, addr, p.hostname or false, cas, pins, p.insecure or false)
	end
	return tls_peers[key], addr
end

-- How the server at an address is known where policy.TLS_FORWARD gives the address alone.
function net.tls_client(p, ...)
	if p == nil then
		local list = {}
		for addr, known in pairs(tls_clients) do list[addr] = known end
		return list
	end
	core.setting('net.tls_client')
	if p == net or select('#', ...) > 0 then fail("net.tls_client: call it as net.tls_client({'ADDRESS', hostname = ...})") end
	if type(p) == 'string' then p = { p } end
	local what = 'net.tls_client'
	local text = expect(what .. ': address', expect(what, p, 'table')[1], 'string')
	local addr = core.addr_text(text, TLS_PORT) or fail(("%s: '%s' is not an address"):format(what, text))
	tls_authentication(what, p)
	local copy = { addr }
	for key in pairs(peer_fields) do copy[key] = p[key] end
	tls_clients[addr] = copy
	return true
end

function net.tls_client_clear(text)
	core.setting('net.tls_client_clear')
	local addr = core.addr_text(expect('net.tls_client_clear', text, 'string'), TLS_PORT) or
		fail(("net.tls_client_clear: '%s' is not an address"):format(text))
	local known = tls_clients[addr] ~= nil
	tls_clients[addr] = nil
	return known
end

-- Where this resolver is to be had encrypted (RFC 9462): as this instance listens, or as said.
local designated, designated_fields = {}, { tls = 1, doh2 = 1, path = 1, addresses = 1 }
local DESIGNATED_MAX, DESIGNATED_ADDRESSES = 4, 8

local function designated_port(key, value)
	if value == nil or value == false then return 0 end
	if value == true then return default_ports[key] end
	expect('net.designated: ' .. key, value, 'number')
	if value < 1 or value > 65535 or value % 1 ~= 0 then
		fail(('net.designated: %s = %s is no port'):format(key, tostring(value)))
	end
	return value
end

function net.designated(name, where)
	if name == nil then return designated end
	setting('net.designated')
	expect('net.designated: name', name, 'string')
	for key in pairs(expect('net.designated', where or {}, 'table')) do
		if not designated_fields[key] then
			fail(("unknown field '%s' of net.designated%s"):format(tostring(key),
				type(key) == 'string' and core.suggestion(key, designated_fields) or ''))
		end
	end
	where = where or {}
	if #designated >= DESIGNATED_MAX then fail(('net.designated: at most %d names'):format(DESIGNATED_MAX)) end
	local path = expect('net.designated: path', where.path or '/dns-query{?dns}', 'string')
	if path:sub(1, 1) ~= '/' or not path:find('{?dns', 1, true) or #path > 200 then
		fail(("net.designated: path '%s' is no template as '/dns-query{?dns}'"):format(path))
	end
	local addresses = core.list('net.designated: addresses', where.addresses)
	if #addresses > DESIGNATED_ADDRESSES then
		fail(('net.designated: at most %d addresses'):format(DESIGNATED_ADDRESSES))
	end
	core.designated(name, where.tls == nil and where.doh2 == nil, designated_port('tls', where.tls),
		designated_port('doh2', where.doh2), path, addresses)
	designated[#designated + 1] = name
	return true
end

-- What the resolver tells of itself (RFC 9606) besides what follows from the configuration.
function net.resinfo(fields)
	if fields ~= nil then
		setting('net.resinfo')
		for key in pairs(expect('net.resinfo', fields, 'table')) do
			if key ~= 'infourl' then fail(("unknown field '%s' of net.resinfo (it has 'infourl')"):format(tostring(key))) end
		end
		local url = expect('net.resinfo: infourl', fields.infourl, 'string')
		if url:sub(1, 8) ~= 'https://' or #url > 240 then
			fail(("net.resinfo: infourl '%s' is no https:// address of at most 240 bytes"):format(url))
		end
		core.text('infourl', url)
	end
	return { infourl = core.text('infourl') }
end

-- The list replaces the one before.
function net.doh_headers(names)
	if names ~= nil then
		setting('net.doh_headers')
		local list = {}
		for i, name in ipairs(core.list('net.doh_headers', names)) do
			list[i] = expect('net.doh_headers', name, 'string'):lower()
			if #name > 64 or not list[i]:find("^:?[%w!#$%%&'*+.^_`|~-]+$") then
				fail(("net.doh_headers: '%s' is no name of a header field"):format(name))
			end
		end
		if #list > 16 then fail('net.doh_headers: more than 16 names') end
		core.text('doh_headers', #list > 0 and table.concat(list, ' '))
	end
	local now = {}
	for name in (core.text('doh_headers') or ''):gmatch('%S+') do now[#now + 1] = name end
	return now
end

for _, name in ipairs({ 'bpf_set', 'bpf_clear', 'register_endpoint_kind' }) do
	net[name] = function() core.later('net.' .. name, true) end
end

G.net = dialect('net', net, {
	ipv4 = core.option_prop('net.ipv4'),
	ipv6 = core.option_prop('net.ipv6'),
}, {
	index = function(key) return core.interfaces()[key] end,
	newindex = function(key, value)
		if type(key) ~= 'number' then return false end
		net.listen(value)
		return true
	end,
})
merged.net = true

--- cache

local cache = {}

local function storage_path(uri)
	expect('cache.storage', uri, 'string')
	local path = uri:match('^lmdb://(.*)$') or uri
	if path:match('^%w+://') then
		fail(("cache.storage: '%s' is neither a folder nor lmdb://FOLDER"):format(uri))
	end
	return path ~= '' and path or nil
end

function cache.open(size, storage)
	setting('cache.open')
	core.option('cache.size', expect('cache.open: size', size, 'number'))
	if storage ~= nil then core.text('cache_storage', storage_path(storage) or false) end
	return true
end

cache.max_ttl = core.option_call('cache.max_ttl')
cache.min_ttl = core.option_call('cache.min_ttl')

-- A server that timed out is left alone for as long as its silence lasts: see ARCHITECTURE.md.
local ns_tout = 1000
function cache.ns_tout(ms)
	if ms ~= nil then
		setting('cache.ns_tout')
		ns_tout = expect('cache.ns_tout', ms, 'number')
		core.later('cache.ns_tout', true)
	end
	return ns_tout
end

function cache.close()
	setting('cache.close')
	return true
end

function cache.stats() return core.cache_stats() end
function cache.count() return core.cache_stats().count_entries end

function cache.clear_everything()
	core.cache_clear_all()
	return true
end

function cache.clear(name, exact, rr_type)
	if name == nil then
		core.cache_clear_all()
		return { count = 0 }
	end
	expect('cache.clear: name', name, 'string')
	if rr_type ~= nil and not exact then
		fail('cache.clear: a type is for an exact name only: cache.clear(name, true, type)')
	end
	if type(rr_type) == 'string' then
		rr_type = core.type_number(rr_type) or fail("cache.clear: unknown type '" .. rr_type .. "'")
	end
	core.cache_clear(name, not exact, rr_type or 0)
	return { count = 0 }
end

function cache.get() fail('cache.get is not implemented: use shoal cache show') end
function cache.fssize() return core.fssize(core.text('cache_storage') or core.run_folder()) end
function cache.backends() return { ['lmdb://'] = true } end
function cache.checkpoint() return true end

G.cache = dialect('cache', cache, {
	size = core.option_prop('cache.size'),
	storage = {
		function() return 'lmdb://' .. (core.text('cache_storage') or '') end,
		function(uri)
			setting('cache.storage')
			core.text('cache_storage', storage_path(uri) or false)
		end,
	},
	current_size = { function() return core.option('cache.size') end },
	current_storage = { function() return 'lmdb://' .. (core.text('cache_storage') or '') end },
})
merged.cache = true

--- hints

local hints = {}

local function hint_words(what, text)
	expect(what, text, 'string')
	local words = {}
	for word in text:gmatch('%S+') do words[#words + 1] = word end
	if #words < 1 or #words > 2 then fail(what .. ": expected 'name address'") end
	return words[1], words[2]
end

function hints.set(text)
	setting('hints.set')
	local name, ip = hint_words('hints.set', text)
	if not ip then fail("hints.set: expected 'name address'") end
	core.hint_add('hints.set', name, ip)
	return true
end

function hints.del(text)
	setting('hints.del')
	return core.hint_del(hint_words('hints.del', text)) > 0
end

function hints.get(name)
	if name == nil then return core.hints() end
	local _, list = next(core.hints(expect('hints.get', name, 'string')))
	return list
end

function hints.add_hosts(path)
	setting('hints.add_hosts')
	core.hosts_file(file_path('hints.add_hosts', path == nil and '/etc/hosts' or path))
	return true
end

function hints.config(path)
	setting('hints.config')
	core.hints_clear()
	if path ~= nil then core.hosts_file(file_path('hints.config', path)) end
	return true
end

function hints.root(roots)
	if roots ~= nil then
		setting('hints.root')
		expect('hints.root', roots, 'table')
		if next(roots) == nil then fail('hints.root: no server in the table') end
		core.roots_clear()
		for name, addresses in pairs(roots) do
			expect('hints.root: name', name, 'string')
			for _, ip in ipairs(core.list('hints.root', addresses)) do
				core.root_add(name, expect('hints.root: address', ip, 'string'))
			end
		end
	end
	return core.roots()
end

function hints.root_file(path)
	setting('hints.root_file')
	if path == nil then
		core.roots_clear() -- the built-in ones come back
	else
		core.root_file(file_path('hints.root_file', path))
	end
	return core.roots()
end

hints.use_nodata = core.option_call('hints.use_nodata')
hints.ttl = core.option_call('hints.ttl')

local hints_table = dialect('hints', hints, nil, {
	index = function(key)
		if type(key) ~= 'string' or not key:find('^[%w_.-]+$') then return nil end
		return hints.get(key)
	end,
	newindex = function(key, value)
		if hints[key] ~= nil or type(key) ~= 'string' then return false end
		setting('hints')
		for _, ip in ipairs(core.list('hints', value)) do core.hint_add('hints', key, ip) end
		return true
	end,
})

--- nsid, view, stats and the modules without calls

local nsid = {}

function nsid.name(name)
	if name ~= nil then
		setting('nsid.name')
		core.text('nsid', expect('nsid.name', name, 'string'))
	end
	return core.text('nsid')
end

local dialect_stats = { 'request.total', 'request.internal', 'request.udp', 'request.tcp', 'request.dot', 'request.doh',
	'request.xdp', 'answer.total', 'answer.noerror', 'answer.nodata', 'answer.nxdomain', 'answer.servfail',
	'answer.cached', 'answer.1ms', 'answer.10ms', 'answer.50ms', 'answer.100ms', 'answer.250ms', 'answer.500ms',
	'answer.1000ms', 'answer.1500ms', 'answer.slow', 'answer.aa', 'answer.tc', 'answer.rd', 'answer.ra', 'answer.ad',
	'answer.cd', 'answer.edns0', 'answer.do', 'query.edns', 'query.dnssec' }
local own_stats = {}
local stats = {}

function stats.get(key)
	expect('stats.get', key, 'string')
	return own_stats[key] or core.stat(key) or stats.list(key)[key]
end

function stats.set(text)
	local key, value = expect('stats.set', text, 'string'):match('^(%S+)%s+(%S+)$')
	if not tonumber(value) then fail("stats.set: expected 'name number'") end
	own_stats[key] = tonumber(value)
	return true
end

function stats.list(prefix)
	prefix = prefix or ''
	expect('stats.list', prefix, 'string')
	local list = {}
	for _, key in ipairs(dialect_stats) do
		if key:sub(1, #prefix) == prefix then list[key] = 0 end
	end
	for key, value in pairs(core.stats(prefix)) do list[key] = value end
	for key, value in pairs(own_stats) do
		if key:sub(1, #prefix) == prefix then list[key] = value end
	end
	return list
end

function stats.upstreams() return {} end
function stats.frequent() return {} end
function stats.clear_frequent() return true end

local stats_table = dialect('stats', stats, nil, {
	index = function(key) return type(key) == 'string' and key:find('.', 1, true) and stats.get(key) or nil end,
	newindex = function(key, value)
		if stats[key] ~= nil or type(key) ~= 'string' then return false end
		own_stats[key] = expect('stats', value, 'number')
		return true
	end,
})

-- What is asked often is refreshed shortly before its end; nothing is predicted from the time of day.
local predict = {}

function predict.config(config)
	setting('predict.config')
	for key, value in pairs(expect('predict.config', config or {}, 'table')) do
		if key ~= 'window' and key ~= 'period' then
			fail(("predict.config: unknown field '%s'"):format(tostring(key)))
		end
		expect('predict.config: ' .. key, value, 'number')
	end
	return true
end

-- AAAA made of A for networks with NAT64.
local dns64 = {}

function dns64.config(config)
	setting('dns64.config')
	if type(config) ~= 'table' or #config > 0 then config = { prefix = config } end
	for key in pairs(config) do
		if key ~= 'prefix' and key ~= 'rev_ttl' and key ~= 'exclude_subnets' then
			fail(("dns64.config: unknown field '%s'"):format(tostring(key)))
		end
	end
	core.dns64(expect('dns64.config: rev_ttl', config.rev_ttl or 60, 'number'))
	local prefixes = core.list('dns64.config: prefix', config.prefix or '64:ff9b::/96')
	if #prefixes == 0 then fail('dns64.config: prefix: the list is empty') end
	for _, text in ipairs(prefixes) do
		if core.dns64_prefix(expect('dns64.config: prefix', text, 'string')) then
			core.warn(("dns64.config: '%s': bits 64 to 71 are to be zero (RFC 6052)"):format(text))
		end
	end
	for _, text in ipairs(core.list('dns64.config', config.exclude_subnets or '::ffff/96')) do
		-- as it is written there, the IPv4-mapped addresses are meant
		if text == '::ffff/96' then text = '::ffff:0:0/96' end
		core.dns64_exclude(expect('dns64.config: exclude_subnets', text, 'string'))
	end
	return true
end

core.module_tables = {
	dns64 = dialect('dns64', dns64),
	hints = hints_table,
	nsid = dialect('nsid', nsid),
	stats = stats_table,
	watchdog = dialect('watchdog', {
		config = function() core.later('watchdog.config', true) end,
	}),
	ta_update = dialect('ta_update', {}),
	predict = dialect('predict', predict),
	serve_stale = dialect('serve_stale', {}, {
		timeout = core.option_prop('serve_stale.timeout'),
		callback = { function() return nil end, function() core.later('serve_stale.callback', true) end },
	}),
	detect_time_jump = dialect('detect_time_jump', { config = function() core.later('detect_time_jump.config', true) end }),
}

--- modules

-- Not in this version. true: answers stay right without it.
local later_modules = {
	graphite = true, http = true, workarounds = true, bogus_log = true,
	prefill = true, dnstap = true, etcd = true, cookies = true, experimental_dot_auth = true,
	rebinding = false, renumber = false, daf = false,
}
local layers = { iterate = true, validate = true, cache = true }
local loaded_later = {}
local modules = {}

local function module_table(name)
	return core.module_tables[name] or dialect(name, {})
end
core.module_table = module_table

local function known_modules()
	local known = {}
	for _, name in ipairs(core.module_names()) do known[name] = true end
	for name in pairs(later_modules) do known[name] = true end
	return known
end

function modules.load(text)
	expect('modules.load', text, 'string')
	local name, operator, layer = text:match('^%s*([%w_]+)%s*([<>]?)%s*([%w_]*)%s*$')
	if not name or (operator == '') ~= (layer == '') then
		fail(("modules.load: '%s' is not 'name', 'name < layer' or 'name > layer'"):format(text))
	end
	if layers[name] then return true end
	setting('modules.load')
	if core.module(name) ~= nil then
		core.module(name, true)
		if name ~= 'policy' then G[name] = module_table(name) end
		if name == 'policy' or name == 'view' then G[name] = core.module_tables[name] end
		return true
	end
	if later_modules[name] == nil then
		fail(("module '%s' not found%s"):format(name, core.suggestion(name, known_modules())))
	end
	core.later(("module '%s'"):format(name), later_modules[name])
	loaded_later[name] = true
	G[name] = core.sink()
	return true
end

function modules.unload(name)
	expect('modules.unload', name, 'string')
	setting('modules.unload')
	if layers[name] then fail(("modules.unload: '%s' is not a module that can be unloaded"):format(name)) end
	if not core.module(name) and not loaded_later[name] then
		fail(("modules.unload: module '%s' is not loaded"):format(name))
	end
	if core.module(name) then core.module(name, false) end
	loaded_later[name] = nil
	G[name] = nil
	return true
end

function modules.list()
	local list = { 'iterate', 'validate', 'cache' }
	for _, name in ipairs(core.module_names()) do
		if core.module(name) then list[#list + 1] = name end
	end
	return list
end

G.modules = dialect('modules', modules, nil, {
	newindex = function(key, value)
		if modules[key] ~= nil then return false end
		if type(key) == 'number' then
			modules.load(value)
			return true
		end
		modules.load(key)
		local name = key:match('[%w_]+')
		local known = core.module_tables[name]
		if known and value ~= nil and value ~= true then
			local config = getmetatable(known).known.config and known.config
			if not config then fail(("module '%s' has no configuration of its own"):format(name)) end
			config(value)
		end
		return true
	end,
})
merged.modules = true

--- trust_anchors

local anchors = {}
local anchor_values = { bootstrap_url = 'https://data.iana.org/root-anchors/root-anchors.xml', bootstrap_ca = '' }

function anchors.add(text)
	setting('trust_anchors.add')
	core.anchor_add(expect('trust_anchors.add', text, 'string'))
	return true
end

function anchors.add_file(path, readonly)
	setting('trust_anchors.add_file')
	core.anchor_file(file_path('trust_anchors.add_file', path), readonly and true or false)
	return true
end

function anchors.remove(name)
	setting('trust_anchors.remove')
	expect('trust_anchors.remove', name, 'string')
	return core.anchor_remove(name)
end

function anchors.set_insecure(names)
	setting('trust_anchors.set_insecure')
	local what = 'trust_anchors.set_insecure'
	core.insecure(core.list(what, expect(what, names, 'table')))
	return true
end

function anchors.set_time_servers(names)
	setting('trust_anchors.set_time_servers')
	local what = 'trust_anchors.set_time_servers'
	core.time_servers(core.list(what, expect(what, names, 'table')))
	return true
end

function anchors.summary(owner)
	local text = core.anchors(owner)
	if text ~= '' then return (text:gsub('\n$', '')) end
	return owner and owner .. ' has no explicit trust anchors' or 'No valid trust anchors, DNSSEC validation is disabled'
end

local anchor_props = {
	insecure = { function() return core.insecure() end, nil, "trust_anchors.set_insecure{ 'NAME' }" },
	time_servers = { function() return core.time_servers() end, nil, "trust_anchors.set_time_servers{ 'NAME' }" },
	keep_removed = core.option_prop('trust_anchors.keep_removed'),
	sha1 = core.option_prop('trust_anchors.sha1'),
	hold_down_time = core.option_prop('trust_anchors.hold_down_time'),
	-- nil there, 0 here: as the RFC says
	refresh_time = {
		function()
			local ms = core.option('trust_anchors.refresh_time')
			return ms > 0 and ms or nil
		end,
		function(value)
			setting('trust_anchors.refresh_time')
			if type(value) == 'number' and value ~= 0 and value < 1000 then
				fail(('trust_anchors.refresh_time: %.14g is not within 1000..1296000000, nor nil'):format(value))
			end
			core.option('trust_anchors.refresh_time', value or 0)
		end,
	},
}
for name in pairs(anchor_values) do
	anchor_props[name] = {
		function() return anchor_values[name] or nil end,
		function(value)
			setting('trust_anchors.' .. name)
			core.warn(('trust_anchors.%s: nothing is fetched, it has no effect'):format(name))
			anchor_values[name] = value
		end,
	}
end
for old, new in pairs({ file = "add_file('FILE')", config = "add_file('FILE')", keyfile_default = "add_file('FILE')",
	negative = "set_insecure{ 'NAME' }" }) do
	local function upgrade() fail(('trust_anchors.%s was removed: use trust_anchors.%s'):format(old, new)) end
	anchor_props[old] = { upgrade, upgrade }
end

G.trust_anchors = dialect('trust_anchors', anchors, anchor_props)
merged.trust_anchors = true

--- worker, env, event, map

local worker = {}

function worker.stats() return core.worker_stats() end

function worker.info()
	return { name = 'shoald', version = core.version(), instance = core.instance(), pid = core.pid() }
end

function worker.sleep() fail('worker.sleep would keep every client waiting: use event.after') end

function worker.resolve(...) return G.resolve(...) end

local function instance_id()
	local name = core.instance()
	return name ~= '' and name or tostring(core.pid())
end

G.worker = dialect('worker', worker, {
	id = { instance_id },
	pid = { core.pid },
	cwd = { core.cwd },
	control_path = { function() return core.run_folder() .. '/control/' end },
})
merged.worker = true

G.env = setmetatable({}, {
	__index = function(_, key) return os.getenv(tostring(key)) end,
	__newindex = function() fail('env can only be read') end,
})

local debugging_values = { assertion_abort = false, assertion_fork = 5 * G.minute }
local debugging_props = {}
for name in pairs(debugging_values) do
	debugging_props[name] = {
		function() return debugging_values[name] end,
		function(value)
			core.later('debugging.' .. name, true)
			debugging_values[name] = value
		end,
	}
end
G.debugging = dialect('debugging', {}, debugging_props)
merged.debugging = true

local events, next_event = {}, 1
local event = {}

local function event_start(id, e)
	if core.is_running() and not core.event_set(id, e.ms, e.recurrent) then fail('event: no timer could be had') end
end

local function event_new(what, ms, fn, recurrent)
	expect(what .. ': milliseconds', ms, 'number')
	expect(what .. ': function', fn, 'function')
	if not (ms >= 0 and ms <= 2 ^ 40) then fail(('%s: %s ms is not within 0..2^40'):format(what, tostring(ms))) end
	local id = next_event
	next_event = id + 1
	events[id] = { ms = math.floor(ms), fn = fn, recurrent = recurrent }
	event_start(id, events[id])
	return id
end

function event.after(ms, fn) return event_new('event.after', ms, fn, false) end

function event.recurrent(ms, fn)
	if type(ms) == 'number' and ms < 1 then fail('event.recurrent: at least 1 ms') end
	return event_new('event.recurrent', ms, fn, true)
end

function event.cancel(id)
	if not events[id] then return false end
	events[id] = nil
	if core.is_running() then core.event_clear(id) end
	return true
end

function event.reschedule(id, ms)
	local e = events[id]
	if not e then return false end
	expect('event.reschedule: milliseconds', ms, 'number')
	e.ms = math.floor(ms)
	if core.is_running() then
		core.event_clear(id)
		event_start(id, e)
	end
	return true
end

function event.socket() fail('event.socket is not in this version') end

G.event = dialect('event', event)

function core.event(id)
	local e = events[id]
	if not e then return end
	if not e.recurrent then events[id] = nil end
	e.fn(id)
end

local function run_line(line)
	-- in parentheses: one value, and no tail call, which would hide where it was called
	local chunk = loadstring('return (' .. line .. ')', '=eval') or loadstring('return ' .. line, '=eval')
	if not chunk then
		local why
		chunk, why = loadstring(line, '=eval')
		if not chunk then fail(why) end
	end
	return chunk()
end

function core.eval(line)
	core.watch()
	local result = run_line(line)
	core.watched()
	return core.pretty(result)
end

-- What the other instances run for map(): the value as Lua source.
function G.__map(line)
	return core.literal(run_line(line), true, nil, {})
end

function G.map(line, format)
	expect('map', line, 'string')
	if line:find('\n') then fail('map: one line only') end
	local results = { n = 0 }
	for _, row in ipairs(core.map(('__map(%q)'):format(line))) do
		if not row.ok then
			fail(("map: instance '%s': %s"):format(row.instance, row.text))
		end
		local value = row.text
		if format ~= 'strings' then
			local chunk = loadstring('return ' .. row.text, '=map')
			if not chunk then fail(("map: instance '%s' sent no value"):format(row.instance)) end
			value = setfenv(chunk, {})()
		end
		results.n = results.n + 1
		results[results.n] = value
	end
	return results
end

--- resolve()

local resolves, next_resolve = {}, 1

local function type_arg(what, value, number)
	if value == nil then return nil end
	if type(value) == 'number' then return value end
	return number(expect(what, value, 'string')) or fail(("%s: unknown '%s'"):format(what, value))
end

function G.resolve(name, rrtype, class, options, finish)
	if type(name) == 'table' then
		local t = name
		name, rrtype, class, options, finish = t.name, t.type, t.class, t.options, t.finish
	end
	expect('resolve: name', name, 'string')
	if finish ~= nil then expect('resolve: finish', finish, 'function') end
	local flags = core.flags_mask('resolve: options', options)
	local id = next_resolve
	next_resolve = id + 1
	resolves[id] = finish
	return core.resolve(id, name, type_arg('resolve: type', rrtype, core.type_number) or 1,
		type_arg('resolve: class', class, core.class_number) or 1, flags)
end

function core.resolved(id, rcode, text)
	local finish = resolves[id]
	resolves[id] = nil
	if not finish then return end
	local pkt = setmetatable({}, { __index = {
		rcode = function() return rcode end,
	}, __tostring = function() return text end })
	finish(pkt, { rcode = rcode })
end

--- Called once when the instance runs

function core.running()
	for id, e in pairs(events) do event_start(id, e) end
end

--- Log

local function formatted(what, format, ...)
	local fine, text = pcall(string.format, tostring(format), ...)
	if not fine then fail(what .. ': the format does not fit its arguments') end
	return text
end

function G.log(format, ...) core.log('notice', 'module', formatted('log', format, ...)) end

for name, level in pairs({ log_error = 'err', log_warn = 'warning', log_notice = 'notice', log_info = 'info',
	log_debug = 'debug' }) do
	G[name] = function(group, format, ...) core.log(level, tostring(group), formatted(name, format, ...)) end
end
function G.log_req(_, _, _, group, format, ...) core.log('debug', tostring(group), formatted('log_req', format, ...)) end
G.log_qry = G.log_req

local function log_choice(what, fn, choices)
	return function(value)
		if value ~= nil then
			setting(what)
			expect(what, value, 'string')
		end
		return fn(value) or fail(("%s: unknown '%s' (one of %s)"):format(what, value, choices))
	end
end
G.log_level = log_choice('log_level', core.log_level, 'crit, err, warning, notice, info, debug')
G.log_target = log_choice('log_target', core.log_target, 'syslog, stderr, stdout')

function G.log_groups(groups)
	if groups == nil then return core.log_groups() end
	setting('log_groups')
	return core.log_groups(core.list('log_groups', groups))
end

function G.verbose(on)
	if on ~= nil then
		setting('verbose')
		core.log_level(on and 'debug' or 'notice')
	end
	return core.log_level() == 'debug'
end

--- Modes and flags

-- They are taken, and nobody looks at them.
local idle_flags = { NO_ANSWER = 1, DNSSEC_WANT = 1, STUB = 1, ALWAYS_CUT = 1, TRACE = 1, NONAUTH = 1, FORWARD = 1 }

function core.flags_mask(what, names)
	local mask = 0
	for _, name in ipairs(core.list(what, names)) do
		local bit = core.flag_bit(expect(what, name, 'string'))
		if idle_flags[name:upper()] and not core.is_running() then
			core.later(("%s: the flag '%s'"):format(what, name), true)
		end
		mask = bit and mask % (bit * 2) < bit and mask + bit or bit and mask or nil
		if not mask then
			local known = {}
			for _, flag in ipairs(core.flag_names()) do known[flag] = true end
			fail(("%s: unknown flag '%s'%s"):format(what, name, core.suggestion(name, known)))
		end
	end
	return mask
end

function core.flag_bit(name)
	for i, flag in ipairs(core.flag_names()) do
		if flag == name:upper() then return 2 ^ (i - 1) end
	end
end

function G.option(name, on)
	expect('option', name, 'string')
	if name:upper() == 'REORDER_RR' then return G.reorder_RR(on) end
	core.flags_mask('option', { name })
	if on ~= nil then
		setting('option')
		core.flag(name, expect('option: ' .. name, on, 'boolean'))
	end
	return core.flag(name)
end

function G.mode(mode)
	if mode ~= nil then
		setting('mode')
		if mode ~= 'normal' and mode ~= 'strict' and mode ~= 'permissive' then
			fail(("mode: unknown '%s' (one of normal, strict, permissive)"):format(tostring(mode)))
		end
		core.flag('STRICT', mode == 'strict')
		core.flag('PERMISSIVE', mode == 'permissive')
	end
	return core.flag('STRICT') and 'strict' or core.flag('PERMISSIVE') and 'permissive' or 'normal'
end

G.reorder_RR = core.option_call('reorder_RR')

function G.user(name, group)
	setting('user')
	expect('user', name, 'string')
	if group ~= nil then expect('user: group', group, 'string') end
	local wrong = core.user(name, group)
	if wrong and not core.is_check() then fail('user: ' .. wrong) end
	if wrong then core.warn('user: ' .. wrong) end
	return wrong == nil
end

--- Files that the configuration reads

-- Noted, so that `shoal status` can tell who read an older version of them.
local function note_reads(library, name, reads)
	local call = library[name]
	library[name] = function(path, ...)
		if reads(...) then core.source(path) end
		return call(path, ...)
	end
end
local function always() return true end
note_reads(_G, 'dofile', always)
note_reads(_G, 'loadfile', always)
note_reads(io, 'lines', always)
note_reads(io, 'open', function(mode) return mode == nil or mode == 'r' or mode == 'rb' end)

local load_module = package.loaders[2]
package.loaders[2] = function(name)
	core.source(package.searchpath(name, package.path))
	return load_module(name)
end

--- The rest

function G.panic(format, ...) fail(formatted('panic', format, ...)) end
function G.hostname() return core.hostname() end
function G.package_version() return core.version() end
function G.quit() return core.quit() end
function G.eval_cmd(line) return run_line(expect('eval_cmd', line, 'string')) end
function G.table_print(value) return core.pretty(value) end
function G.tojson(value) return core.tojson(value) end
function G.fromjson(text) return core.fromjson(text) end

function G.help()
	return 'Every call is described in shoal.lua(5). Globals of this dialect:\n' .. (function()
		local names = {}
		for name in pairs(G) do names[#names + 1] = name end
		table.sort(names)
		return table.concat(names, ' ')
	end)()
end

os.exit = function() fail('os.exit would kill the instance: use quit()') end

-- Ordinary scripts use of this library only the numbers of log groups.
local log_constants = setmetatable({}, {
	__index = function(_, name)
		local group = tostring(name):match('^LOG_GRP_(%w+)$')
		if not group then fail("ffi is not available to scripts ('ffi.C." .. tostring(name) .. "')") end
		return ({ STATISTICS = 'statis', SYSTEM = 'system' })[group] or group:lower()
	end,
})
local ffi = setmetatable({ C = log_constants }, {
	__index = function(_, name) fail("ffi is not available to scripts ('ffi." .. tostring(name) .. "')") end,
})
package.preload.ffi, package.loaded.ffi = nil, ffi
package.loaded.jit, package.preload.jit = nil, nil
rawset(_G, 'jit', nil)
