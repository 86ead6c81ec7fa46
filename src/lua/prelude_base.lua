-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the dialect's tables stand on: unknown fields are errors, assigning merges, values print as Lua.
local core = ...

local fail = core.fail

--- Errors and arguments

-- How many letters one must change to come from a to b (Levenshtein).
local function distance(a, b)
	local row = {}
	for j = 0, #b do row[j] = j end
	for i = 1, #a do
		local left = i - 1
		row[0] = i
		for j = 1, #b do
			local cost = a:byte(i) == b:byte(j) and left or left + 1
			left = row[j]
			row[j] = math.min(cost, row[j] + 1, row[j - 1] + 1)
		end
	end
	return row[#b]
end

local function suggestion(word, known)
	local best, least = nil, math.max(1, math.floor(#word / 3)) + 1
	local names = {}
	for name in pairs(known) do
		if type(name) == 'string' then names[#names + 1] = name end
	end
	-- of equals the longest: letters are forgotten more often than added
	table.sort(names, function(a, b) return #a > #b or #a == #b and a < b end)
	for _, name in ipairs(names) do
		local d = distance(word:lower(), name:lower())
		if d < least then best, least = name, d end
	end
	return best and (" (did you mean '%s'?)"):format(best) or ''
end
core.suggestion = suggestion

local function expect(what, value, wanted)
	if type(value) ~= wanted then
		fail(('%s: expected a %s, got %s'):format(what, wanted, type(value)))
	end
	return value
end
core.expect = expect

function core.later(what, harmless)
	local text = what .. ' is not in this version'
	if harmless then
		core.warn(text .. ': it has no effect')
	elseif core.is_check() then
		core.warn(text .. ': an instance with this configuration does not start')
	else
		fail(text)
	end
end

-- Accepts whatever is done to it: stands for a module that is not there yet.
function core.sink()
	local sink = {}
	return setmetatable(sink, {
		__index = function() return sink end,
		__newindex = function() end,
		__call = function() return nil end,
	})
end

--- Copies

-- Tables that properties give are copies: a script that writes into one would be told nothing. While it is watched
-- (the file, a line of the control socket) they are noted as they were given out, and compared in the end.
local given = {}

function core.watch() given = {} end

local function give(what, value, instead)
	if given and type(value) == 'table' and not getmetatable(value) then
		given[#given + 1] = { what = what, value = value, was = core.literal(value), where = core.where(),
			instead = instead and ': use ' .. instead or '' }
	end
	return value
end

function core.watched()
	local all = given
	given = nil
	for _, g in ipairs(all or {}) do
		if core.literal(g.value) ~= g.was then
			fail(('%s: %s is a copy, what is changed in it has no effect%s'):format(g.where, g.what, g.instead))
		end
	end
end

--- Tables of the dialect

-- methods: what is called; props: name -> { get, set, what to use instead of setting }; more: index(key) and
-- newindex(key, value) for other keys.
function core.dialect(name, methods, props, more)
	local known = setmetatable({}, { __index = methods })
	for key in pairs(methods) do known[key] = true end
	for key in pairs(props or {}) do known[key] = true end
	local function unknown(key)
		fail(("unknown field '%s' of %s%s"):format(tostring(key), name,
			type(key) == 'string' and suggestion(key, known) or ''))
	end
	local meta = { dialect = name, known = known }
	function meta.__index(_, key)
		local prop = props and props[key]
		if prop then return give(name .. '.' .. key, prop[1](), prop[3]) end
		local method = methods[key]
		if method ~= nil then return method end
		if more and more.index then
			local value = more.index(key)
			if value ~= nil then return give(("%s['%s']"):format(name, tostring(key)), value) end
		end
		return unknown(key)
	end
	function meta.__newindex(_, key, value)
		local prop = props and props[key]
		if prop then
			if not prop[2] then
				fail(('%s.%s can only be read%s'):format(name, key, prop[3] and ': use ' .. prop[3] or ''))
			end
			return prop[2](value)
		end
		if more and more.newindex and more.newindex(key, value) then return end
		if methods[key] ~= nil then
			fail(('%s.%s is a function: call it'):format(name, key))
		end
		return unknown(key)
	end
	function meta.__tostring() return name end
	return setmetatable({}, meta)
end

-- A property that is a single value of the configuration.
function core.option_prop(option)
	return {
		function() return core.option(option) end,
		function(value)
			core.setting(option)
			if value == nil then fail(option .. ': expected a value, got nil') end
			core.option(option, value)
		end,
	}
end

-- A function that gets without and sets with an argument.
function core.option_call(option)
	return function(value)
		if value ~= nil then core.setting(option) end
		return core.option(option, value)
	end
end

function core.list(what, value)
	if value == nil then return {} end
	if type(value) == 'string' then return { value } end
	for key in pairs(expect(what, value, 'table')) do
		if type(key) ~= 'number' or key < 1 or key > #value or key % 1 ~= 0 then
			fail(("%s: expected a list, got a table with the field '%s'"):format(what, tostring(key)))
		end
	end
	return value
end

--- Values as text

local function sorted_keys(t)
	local keys = {}
	for key in pairs(t) do keys[#keys + 1] = key end
	table.sort(keys, function(a, b)
		if type(a) == type(b) and (type(a) == 'number' or type(a) == 'string') then
			return a < b
		end
		if type(a) ~= type(b) then return type(a) < type(b) end
		return tostring(a) < tostring(b)
	end)
	return keys
end

local function quoted(text)
	return "'" .. text:gsub("[%c\\'\127-\255]", function(c)
		if c == '\n' then return '\\n' end
		if c == "'" or c == '\\' then return '\\' .. c end
		return ('\\%03d'):format(c:byte())
	end) .. "'"
end

local function number_text(n)
	if n ~= n then return '(0/0)' end
	if n == math.huge then return '(1/0)' end
	if n == -math.huge then return '(-1/0)' end
	if n == math.floor(n) and math.abs(n) < 2 ^ 53 then return ('%d'):format(n) end
	return ('%.17g'):format(n)
end

-- As Lua source. `strict`: what Lua cannot read back is an error.
local function literal(value, strict, indent, seen)
	local kind = type(value)
	seen = seen or {}
	if kind == 'string' then return quoted(value) end
	if kind == 'number' then return number_text(value) end
	if kind == 'boolean' or kind == 'nil' then return tostring(value) end
	if kind ~= 'table' then
		if strict then fail('a value of type ' .. kind .. ' cannot be sent') end
		return quoted(tostring(value))
	end
	if seen[value] then
		if strict then fail('a table that contains itself cannot be sent') end
		return quoted('(again)')
	end
	local meta = getmetatable(value)
	if type(meta) == 'table' and meta.dialect then
		local names = {}
		for _, key in ipairs(sorted_keys(meta.known)) do names[#names + 1] = key end
		value = names
	end
	seen[value] = true
	local parts, inner = {}, indent and indent .. '    '
	local count = #value
	for i = 1, count do parts[i] = literal(value[i], strict, inner, seen) end
	for _, key in ipairs(sorted_keys(value)) do
		if not (type(key) == 'number' and key >= 1 and key <= count and key % 1 == 0) then
			parts[#parts + 1] = ('[%s] = %s'):format(
				literal(key, strict, nil, {}), literal(value[key], strict, inner, seen))
		end
	end
	seen[value] = nil
	if #parts == 0 then return '{}' end
	if not indent then return '{ ' .. table.concat(parts, ', ') .. ' }' end
	return '{\n' .. inner .. table.concat(parts, ',\n' .. inner) .. ',\n' .. indent .. '}'
end
core.literal = literal

function core.pretty(value)
	if type(value) == 'string' then return value end
	return literal(value, false, '', {})
end

--- JSON (RFC 8259)

local escapes = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t' }

local function json_string(text)
	return '"' .. text:gsub('[%c"\\]', function(c)
		return escapes[c] or ('\\u%04x'):format(c:byte())
	end) .. '"'
end

function core.tojson(value, seen)
	local kind = type(value)
	if kind == 'nil' then return 'null' end
	if kind == 'boolean' then return tostring(value) end
	if kind == 'number' then
		if value ~= value or value == math.huge or value == -math.huge then return 'null' end
		return number_text(value)
	end
	if kind ~= 'table' then return json_string(tostring(value)) end
	seen = seen or {}
	if seen[value] then fail('tojson: a table that contains itself') end
	seen[value] = true
	local parts, brackets = {}, '{}'
	if #value > 0 then
		brackets = '[]'
		for i = 1, #value do parts[i] = core.tojson(value[i], seen) end
	else
		for _, key in ipairs(sorted_keys(value)) do
			parts[#parts + 1] = json_string(tostring(key)) .. ':' .. core.tojson(value[key], seen)
		end
	end
	seen[value] = nil
	return brackets:sub(1, 1) .. table.concat(parts, ',') .. brackets:sub(2, 2)
end

local json_value

local function json_fail(at) fail('fromjson: not JSON at byte ' .. at) end

local function json_skip(text, at) return text:find('[^ \t\r\n]', at) or #text + 1 end

local function utf8(n)
	if n < 0x80 then return string.char(n) end
	if n < 0x800 then return string.char(0xc0 + math.floor(n / 64), 0x80 + n % 64) end
	if n < 0x10000 then
		return string.char(0xe0 + math.floor(n / 4096), 0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
	end
	return string.char(0xf0 + math.floor(n / 262144), 0x80 + math.floor(n / 4096) % 64,
		0x80 + math.floor(n / 64) % 64, 0x80 + n % 64)
end

local unescapes = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' }

local function json_text(text, at)
	local parts = {}
	at = at + 1
	while true do
		local stop = text:find('["\\%c]', at) or json_fail(at)
		parts[#parts + 1] = text:sub(at, stop - 1)
		local c = text:sub(stop, stop)
		if c == '"' then return table.concat(parts), stop + 1 end
		if c ~= '\\' then json_fail(stop) end
		local e = text:sub(stop + 1, stop + 1)
		if e == 'u' then
			local n = tonumber(text:match('^%x%x%x%x', stop + 2) or json_fail(stop), 16)
			at = stop + 6
			local low = n >= 0xd800 and n < 0xdc00 and text:match('^\\u([dD][c-fC-F]%x%x)', at)
			if low then
				n = 0x10000 + (n - 0xd800) * 1024 + tonumber(low, 16) - 0xdc00
				at = at + 6
			end
			parts[#parts + 1] = utf8(n)
		else
			parts[#parts + 1] = unescapes[e] or json_fail(stop)
			at = stop + 2
		end
	end
end

local function json_items(text, at, close, each)
	at = json_skip(text, at + 1)
	if text:sub(at, at) == close then return at + 1 end
	while true do
		at = json_skip(text, each(json_skip(text, at)))
		local c = text:sub(at, at)
		if c == close then return at + 1 end
		if c ~= ',' then json_fail(at) end
		at = at + 1
	end
end

function json_value(text, at, depth)
	if depth > 100 then fail('fromjson: nested too deep') end
	local c = text:sub(at, at)
	if c == '"' then return json_text(text, at) end
	local result = {}
	if c == '{' then
		at = json_items(text, at, '}', function(i)
			if text:sub(i, i) ~= '"' then json_fail(i) end
			local key
			key, i = json_text(text, i)
			i = json_skip(text, i)
			if text:sub(i, i) ~= ':' then json_fail(i) end
			result[key], i = json_value(text, json_skip(text, i + 1), depth + 1)
			return i
		end)
		return result, at
	end
	if c == '[' then
		local n = 0
		at = json_items(text, at, ']', function(i)
			n = n + 1
			result[n], i = json_value(text, i, depth + 1)
			return i
		end)
		return result, at
	end
	for word, value in pairs({ ['true'] = true, ['false'] = false, null = core }) do
		if text:sub(at, at + #word - 1) == word then
			if value == core then value = nil end
			return value, at + #word
		end
	end
	local number = text:match('^-?%d+%.?%d*[eE]?[+-]?%d*', at)
	if not number or not tonumber(number) then json_fail(at) end
	return tonumber(number), at + #number
end

function core.fromjson(text)
	expect('fromjson', text, 'string')
	local value, at = json_value(text, json_skip(text, 1), 0)
	if json_skip(text, at) <= #text then json_fail(at) end
	return value
end

--- Globals: what the dialect defines stands behind the user's own

core.defined = {}
-- Assigning a table to one of these merges it key by key.
core.merged = {}

local globals = _G
setmetatable(globals, {
	__index = core.defined,
	__newindex = function(t, key, value)
		local target = core.merged[key] and core.defined[key]
		if not target then
			local known = core.defined[key]
			if known ~= nil then
				core.warn(("'%s' is a %s of the dialect: this assignment only hides it"):format(key, type(known)))
			elseif type(value) == 'table' and type(key) == 'string' and core.module(key) ~= nil then
				core.warn(("this table does nothing for the module '%s': modules.load('%s')"):format(key, key))
			end
			rawset(t, key, value)
			return
		end
		if type(value) ~= 'table' then
			fail(('%s: expected a table, got %s'):format(key, type(value)))
		end
		for k, v in pairs(value) do
			if type(k) == 'number' then target[k] = v end
		end
		for k, v in pairs(value) do
			if type(k) ~= 'number' then target[k] = v end
		end
	end,
})
