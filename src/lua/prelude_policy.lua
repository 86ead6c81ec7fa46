-- SPDX-License-Identifier: GPL-3.0-or-later
-- policy, view, kres: actions and filters are tables that src/lua/core_policy.c turns into rules.
local core = ...

local fail, expect, dialect = core.fail, core.expect, core.dialect
local G = core.defined

--- kres: names and numbers

local function codes(what, number)
	return setmetatable({}, { __index = function(_, name)
		return number(tostring(name)) or fail(("unknown field '%s' of kres.%s"):format(tostring(name), what))
	end })
end

local extended_errors = { NONE = -1, OTHER = 0, DNSKEY_ALG = 1, DS_DIGEST = 2, STALE = 3, FORGED = 4, INDETERMINATE = 5,
	BOGUS = 6, SIG_EXPIRED = 7, SIG_NOTYET = 8, DNSKEY_MISS = 9, RRSIG_MISS = 10, DNSKEY_BIT = 11, NSEC_MISS = 12,
	CACHED_ERR = 13, NOT_READY = 14, BLOCKED = 15, CENSORED = 16, FILTERED = 17, PROHIBITED = 18, STALE_NXD = 19,
	NOTAUTH = 20, NOTSUP = 21, NREACH_AUTH = 22, NETWORK = 23, INV_DATA = 24 }

local kres = {
	CONSUME = 1, PRODUCE = 2, DONE = 4, FAIL = 8, YIELD = 16,
	type = codes('type', core.type_number),
	class = codes('class', core.class_number),
	rcode = codes('rcode', core.rcode_number),
	opcode = { QUERY = 0, IQUERY = 1, STATUS = 2, NOTIFY = 4, UPDATE = 5 },
	section = { ANSWER = 0, AUTHORITY = 1, ADDITIONAL = 2 },
	extended_error = extended_errors,
}

function kres.str2dname(text) return core.dname(expect('kres.str2dname', text, 'string')) end
function kres.dname2str(name) return core.dname_text(expect('kres.dname2str', name, 'string')) end
function kres.str2ip(text) return core.ip_bytes(expect('kres.str2ip', text, 'string')) end

function kres.parse_rdata(lines)
	local list = {}
	for i, line in ipairs(core.list('kres.parse_rdata', lines)) do
		local rrtype, text = expect('kres.parse_rdata', line, 'string'):match('^%s*(%S+)%s+(.*)$')
		local number = rrtype and core.type_number(rrtype)
		list[i] = number and core.rdata(number, text) or
			fail(("kres.parse_rdata: '%s' is not 'TYPE RDATA'"):format(line))
	end
	return list
end

G.kres = dialect('kres', kres)

function G.todname(text)
	return core.dname(expect('todname', text, 'string')) or fail(("todname: '%s' is not a name"):format(text))
end

--- Actions

local action_meta = {}
action_meta.__call = function(self) return self end
action_meta.__tostring = function(self) return 'policy.' .. self.action end

local function action(t) return setmetatable(t, action_meta) end

local function check_action(what, value)
	if type(value) ~= 'function' and getmetatable(value) ~= action_meta then
		fail(('%s: expected an action, as policy.DENY, got %s'):format(what,
			type(value) == 'table' and 'a table' or type(value)))
	end
	if type(value) == 'table' and value.idle and not core.is_running() then core.later(value.idle, true) end
	return value
end

local policy = {
	PASS = action { action = 'PASS' },
	DENY = action { action = 'DENY' },
	DROP = action { action = 'DROP' },
	REFUSE = action { action = 'REFUSE' },
	NO_ANSWER = action { action = 'NO_ANSWER' },
	TC = action { action = 'TC' },
}

function policy.DENY_MSG(message, ede)
	if message == nil then return policy.DENY end
	expect('policy.DENY_MSG', message, 'string')
	if #message >= 255 then fail('policy.DENY_MSG: at most 254 bytes') end
	return action { action = 'DENY_MSG', message = message, ede = ede }
end

-- The dialect writes addresses as "IP", "IP@PORT" or "IP#PORT", or as tables with them at [1].
local function targets(what, list, most)
	list = core.list(what, list)
	local out = {}
	for i, target in ipairs(list) do
		if type(target) == 'table' then target = target[1] end
		out[i] = expect(what .. ': address', target, 'string')
	end
	if #out < 1 or #out > most then fail(('%s: %d addresses are not within 1..%d'):format(what, #out, most)) end
	return out
end

local function forwarding(name)
	return function(list)
		local what = 'policy.' .. name
		local t = targets(what, list, 4)
		for _, text in ipairs(t) do
			if not core.target_ok(text) then fail(("%s: '%s' is not an address"):format(what, text)) end
		end
		return action { action = name, targets = t }
	end
end
policy.FORWARD = forwarding('FORWARD')
policy.STUB = forwarding('STUB')

local TLS_TARGETS = 16

function policy.TLS_FORWARD(list)
	local what = 'policy.TLS_FORWARD'
	core.list(what, expect(what, list, 'table'))
	local peers, seen = {}, {}
	for i, target in ipairs(list) do
		if type(target) == 'string' then target = { target } end
		local number, addr = core.tls_peer_of(what, target)
		if seen[addr] then fail(("%s: '%s' stands twice"):format(what, addr)) end
		seen[addr], peers[i] = true, number
	end
	if #peers < 1 or #peers > TLS_TARGETS then
		fail(('%s: %d servers are not within 1..%d'):format(what, #peers, TLS_TARGETS))
	end
	return action { action = 'TLS_FORWARD', peers = peers }
end

local function answer_rdata(what, rrtype, rdata)
	if type(rdata) == 'string' then rdata = { rdata } end
	expect(what, rdata, 'table')
	for _, bytes in ipairs(rdata) do
		expect(what, bytes, 'string')
		local wanted = rrtype == 1 and 4 or rrtype == 28 and 16 or nil
		if #bytes > 65535 or (wanted and #bytes ~= wanted) then
			fail(('%s: %d bytes do not fit the type'):format(what, #bytes))
		end
	end
	if #rdata == 0 then fail(what .. ': no data') end
	return rdata
end

function policy.ANSWER(records, nodata)
	expect('policy.ANSWER', records, 'table')
	local answers = {}
	for rrtype, record in pairs(records) do
		if type(rrtype) == 'string' then rrtype = core.type_number(rrtype) end
		if type(rrtype) ~= 'number' then fail('policy.ANSWER: the keys are types, as [kres.type.A]') end
		expect('policy.ANSWER', record, 'table')
		local ttl = record.ttl or 1
		if type(ttl) ~= 'number' or ttl < 0 or ttl > 2147483647 then
			fail('policy.ANSWER: ttl is not within 0..2147483647')
		end
		answers[#answers + 1] = { type = rrtype, ttl = ttl,
			rdata = answer_rdata('policy.ANSWER: rdata', rrtype, record.rdata) }
	end
	table.sort(answers, function(a, b) return a.type < b.type end)
	return action { action = 'ANSWER', answers = answers, nodata = nodata or false }
end

function policy.FLAGS(set, clear)
	return action { action = 'FLAGS', set = core.flags_mask('policy.FLAGS', set),
		clear = core.flags_mask('policy.FLAGS', clear) }
end

-- Chain actions that only watch
for _, name in ipairs({ 'QTRACE', 'REQTRACE', 'DEBUG_ALWAYS', 'DEBUG_CACHE_MISS', 'IPTRACE' }) do
	policy[name] = action { action = 'FLAGS', set = core.flag_bit('TRACE'), clear = 0, idle = 'policy.' .. name }
end
function policy.DEBUG_IF() return policy.DEBUG_ALWAYS end

function policy.MIRROR()
	core.later('policy.MIRROR', true)
	return action { action = 'FLAGS', set = 0, clear = 0 }
end

function policy.REROUTE()
	core.later('policy.REROUTE', false)
	return action { action = 'FLAGS', set = 0, clear = 0 }
end

--- Filters

local rule_meta = {}

-- Used inside a custom filter: the action where the query matches.
local function rule_covers(rule, query)
	local name = core.name(query.sname, 'policy')
	if rule.filter == 'all' then return true end
	if rule.filter == 'pattern' then return name:find(rule.pattern) ~= nil end
	for _, zone in ipairs(rule.names) do
		if name == zone then return true end
		if rule.filter == 'suffix' and name:sub(-#zone) == zone then
			-- on a label's border
			local at, start = 1, #name - #zone + 1
			while at < start do at = at + name:byte(at) + 1 end
			if at == start then return true end
		end
	end
	return false
end
rule_meta.__call = function(self, _, query)
	return rule_covers(self, query) and self.action or nil
end
rule_meta.__tostring = function(self) return 'policy.' .. self.filter end

local function rule(t) return setmetatable(t, rule_meta) end

local function names_of(what, list)
	if type(list) == 'string' then list = { list } end
	local names = {}
	for i, name in ipairs(core.list(what, expect(what, list, 'table'))) do names[i] = core.name(name, what) end
	return names
end

function policy.all(act) return rule { filter = 'all', action = check_action('policy.all', act) } end

function policy.suffix(act, names)
	check_action('policy.suffix', act)
	return rule { filter = 'suffix', action = act, names = names_of('policy.suffix', names) }
end

function policy.suffix_common(act, names) return policy.suffix(act, names) end

function policy.domains(act, names)
	check_action('policy.domains', act)
	return rule { filter = 'domains', action = act, names = names_of('policy.domains', names) }
end

function policy.pattern(act, pattern)
	check_action('policy.pattern', act)
	return rule { filter = 'pattern', action = act, pattern = expect('policy.pattern', pattern, 'string') }
end

function policy.rpz(act)
	check_action('policy.rpz', act)
	core.later('policy.rpz', false)
	return rule { filter = 'suffix', action = policy.PASS, names = {} }
end

function policy.slice(fn, ...)
	expect('policy.slice', fn, 'function')
	local actions = { ... }
	if #actions == 0 then fail('policy.slice: no actions') end
	for _, act in ipairs(actions) do check_action('policy.slice', act) end
	return function(_, query) return actions[1 + fn(query, #actions) % #actions] end
end

function policy.slice_randomize_psl(seed)
	seed = seed or os.date('%Y-%W')
	return function(query, count)
		-- without the list of public suffixes: by the last two labels
		local text = core.dname_text(core.name(query.sname, 'policy.slice'))
		local key = (text:match('([^.]+%.[^.]+%.)$') or text) .. seed
		local hash = 5381
		for i = 1, #key do hash = (hash * 33 + key:byte(i)) % 4294967296 end
		return hash % count
	end
end

function policy.todnames(names)
	for i, name in ipairs(expect('policy.todnames', names, 'table')) do names[i] = G.todname(name) end
	return names
end

--- Lists of rules

local rules, postrules = {}, {}

local function check_rule(what, value)
	if type(value) ~= 'function' and getmetatable(value) ~= rule_meta then
		if getmetatable(value) == action_meta then
			fail(('%s: expected a rule, got an action: policy.all(%s)'):format(what, tostring(value)))
		end
		fail(('%s: expected a rule, as policy.all(policy.DENY), got %s'):format(what, type(value)))
	end
	return value
end

-- What policy.add returns: { id, cb, count }
local function entry(id, value)
	return dialect('rule', {}, {
		id = { function() return id end },
		cb = { function() return value end, nil, 'policy.del(ID) and policy.add(RULE)' },
		count = { function() return core.rule_hits(id) end },
	})
end

function policy.add(...)
	local value, post = ...
	if value == core.module_tables.policy then value, post = select(2, ...) end
	core.setting('policy.add')
	check_rule('policy.add', value)
	if post then
		core.later('policy.add(rule, true)', true)
		local e = entry(-1, value)
		postrules[#postrules + 1] = e
		return e
	end
	local e = entry(core.rule_add(value), value)
	rules[#rules + 1] = e
	return e
end

function policy.del(...)
	local id = ...
	if id == core.module_tables.policy then id = select(2, ...) end
	core.setting('policy.del')
	if type(id) == 'table' then id = id.id end
	for i, e in ipairs(rules) do
		if e.id == id then table.remove(rules, i) break end
	end
	return core.rule_del(expect('policy.del', id, 'number'))
end

local function shown(list)
	local out = {}
	for i, e in ipairs(list) do
		local what = type(e.cb) == 'function' and 'function' or
			('%s(%s)'):format(tostring(e.cb), tostring(e.cb.action))
		out[i] = { id = e.id, count = e.count, rule = what }
	end
	return out
end

core.module_tables.policy = dialect('policy', policy, {
	rules = { function() return shown(rules) end, nil, 'policy.add(RULE)' },
	postrules = { function() return shown(postrules) end, nil, 'policy.add(RULE, true)' },
	special_names = { function() return {} end },
})
G.policy = core.module_tables.policy

local views = {}
local view = {}

function view.addr(self, subnet, value, dst)
	if self ~= core.module_tables.view then fail('view.addr: call it as view:addr(subnet, rule)') end
	core.setting('view:addr')
	expect('view:addr: subnet', subnet, 'string')
	check_rule('view:addr', value)
	local e = entry(core.view_add(subnet, value, dst or false), value)
	views[#views + 1] = e
	return e
end

function view.tsig() core.later('view:tsig', false) end

core.module_tables.view = dialect('view', view, { rules = { function() return shown(views) end } })

--- A rule's function is asked

local query_meta = { __index = {
	name = function(self) return self.sname end,
	type = function(self) return self.stype end,
	class = function(self) return self.sclass end,
} }

-- As that dialect has them: a count, and the fields from 0 on.
local function headers_of(fields)
	local headers = { len = 0, at = {} }
	for name, value in (fields or ''):gmatch('(%Z+)%z(%Z*)%z') do
		headers.at[headers.len] = { name = name, value = value }
		headers.len = headers.len + 1
	end
	return headers
end

function core.policy(fn, q)
	local query = setmetatable(q, query_meta)
	local req = {
		qsource = { addr = q.client, dst_addr = q.server, flags = { tcp = q.tcp },
			headers = headers_of(q.fields) },
		state = kres.PRODUCE,
		qname = q.sname,
		qtype = q.stype,
	}
	function req.current() return query end
	local result = fn(req, query)
	if result == nil or result == false then return nil end
	if getmetatable(result) == rule_meta then result = result(nil, query) end
	if getmetatable(result) == action_meta then return result end
	if result == kres.FAIL then return policy.DROP end
	if type(result) == 'number' or result == nil then return nil end
	fail('a policy function must return an action or nil, not ' .. type(result))
end

--- The modules that are on from the start

for _, name in ipairs(core.module_names()) do
	if core.module(name) then G[name] = core.module_table(name) end
end
