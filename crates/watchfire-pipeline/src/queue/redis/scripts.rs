//! Every move on Redis as one script, which Redis carries out whole or not at all, also across its own death. The lists are those of the
//! replaced program; what only we need has keys that begin with `watchfire:`.
//!
//! Keys of all scripts: 1 the queue, 2 payloads, 3 histories, 4 tokens, 5 leased by end, 6 retries by time, 7 dead letters, 8 overflow.

/// Forgets the job `id`. To be followed by the line that uses it.
macro_rules! with_forget {
    ($body:literal) => {
        concat!(
            "local function forget(id) redis.call('HDEL', KEYS[2], id) redis.call('HDEL', KEYS[3], id) redis.call('HDEL', KEYS[4], id) redis.call('ZREM', KEYS[5], id) end\n",
            "local function trim(key, max) local n = 0 while redis.call('LLEN', key) > max do redis.call('LPOP', key) n = n + 1 end return n end\n",
            $body
        )
    };
}

/// Arguments: payload, most jobs, policy, most dead, then pairs of an oldest job and its overflow entry.
/// Answers: outcome (0 refused, 1 taken, 2 overflow entries wanted), jobs moved, jobs dropped, dead dropped, jobs too many.
pub(super) const PUSH: &str = with_forget!(
    r"
local max, dead_max = tonumber(ARGV[2]), tonumber(ARGV[4])
local many = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[6]) + 1 - max
local moved, dropped, dead_dropped = 0, 0, 0
if many > 0 then
  if ARGV[3] == 'reject' or redis.call('LLEN', KEYS[1]) < math.min(many, 100) then return {0, 0, 0, 0, many} end
  if ARGV[3] == 'drop_oldest' then
    for i = 1, math.min(many, 100) do if redis.call('LPOP', KEYS[1]) then dropped = dropped + 1 end end
  else
    local wanted = math.min(many, 100)
    if (#ARGV - 4) / 2 < wanted then return {2, 0, 0, 0, many} end
    for i = 1, wanted do
      if redis.call('LINDEX', KEYS[1], i - 1) ~= ARGV[3 + 2 * i] then return {2, 0, 0, 0, many} end
    end
    for i = 1, wanted do
      redis.call('LPOP', KEYS[1])
      redis.call('RPUSH', KEYS[8], ARGV[4 + 2 * i])
      moved = moved + 1
    end
    dead_dropped = trim(KEYS[8], dead_max)
  end
end
redis.call('RPUSH', KEYS[1], ARGV[1])
return {1, moved, dropped, dead_dropped, 0}
"
);

/// Arguments: now, end of the lease, how many, most leased, most bytes, largest payload, then pairs of a fresh id and a token.
/// Answers: how many jobs are too large to be given (they go to the dead letters as they are), then id, token, payload, history for each job.
pub(super) const LEASE: &str = with_forget!(
    r"
local now, ends, count, room = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]) - redis.call('ZCARD', KEYS[5])
local left, next, out, large = tonumber(ARGV[5]), 7, {}, 0
count = math.min(count, room)
local function give(id, payload)
  redis.call('HSET', KEYS[4], id, ARGV[next + 1])
  redis.call('ZADD', KEYS[5], ends, id)
  out[#out + 1] = id
  out[#out + 1] = ARGV[next + 1]
  out[#out + 1] = payload
  out[#out + 1] = redis.call('HGET', KEYS[3], id) or ''
  left = left - #payload
  next = next + 2
end
if count > 0 then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now, 'LIMIT', 0, count)) do
    if left < 0 then break end
    redis.call('ZREM', KEYS[6], id)
    local payload = redis.call('HGET', KEYS[2], id)
    if payload then give(id, payload) count = count - 1 else forget(id) end
  end
end
while count > 0 and left >= 0 do
  local payload = redis.call('LPOP', KEYS[1])
  if not payload then break end
  if #payload > tonumber(ARGV[6]) then
    redis.call('RPUSH', KEYS[7], payload)
    large = large + 1
  else
    redis.call('HSET', KEYS[2], ARGV[next], payload)
    give(ARGV[next], payload)
    count = count - 1
  end
end
table.insert(out, 1, tostring(large))
return out
"
);

/// Arguments: id, token. Answers: payload and history, or nothing.
pub(super) const LEASED: &str = r"
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return {} end
return {redis.call('HGET', KEYS[2], ARGV[1]) or '', redis.call('HGET', KEYS[3], ARGV[1]) or ''}
";

/// Arguments: id, token. Answers whether the lease was known, and 0.
pub(super) const DONE: &str = with_forget!(
    r"
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return {0, 0} end
forget(ARGV[1])
return {1, 0}
"
);

/// Arguments: id, token, now. A job that never failed goes back to the head of its list, where every consumer sees it.
pub(super) const RETURN: &str = with_forget!(
    r"
local id = ARGV[1]
if redis.call('HGET', KEYS[4], id) ~= ARGV[2] then return {0, 0} end
if redis.call('HEXISTS', KEYS[3], id) == 0 then
  local payload = redis.call('HGET', KEYS[2], id)
  if payload then redis.call('LPUSH', KEYS[1], payload) end
  forget(id)
else
  redis.call('ZREM', KEYS[5], id)
  redis.call('HDEL', KEYS[4], id)
  redis.call('ZADD', KEYS[6], ARGV[3], id)
end
return {1, 0}
"
);

/// Arguments: id, token, due, history.
pub(super) const RETRY: &str = r"
local id = ARGV[1]
if redis.call('HGET', KEYS[4], id) ~= ARGV[2] then return {0, 0} end
redis.call('HSET', KEYS[3], id, ARGV[4])
redis.call('HDEL', KEYS[4], id)
redis.call('ZREM', KEYS[5], id)
redis.call('ZADD', KEYS[6], ARGV[3], id)
return {1, 0}
";

/// Arguments: id, token, entry, most dead.
pub(super) const BURY: &str = with_forget!(
    r"
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return {0, 0} end
redis.call('RPUSH', KEYS[7], ARGV[3])
forget(ARGV[1])
return {1, trim(KEYS[7], tonumber(ARGV[4]))}
"
);

/// Arguments: id, token, end of the lease.
pub(super) const EXTEND: &str = r"
if redis.call('HGET', KEYS[4], ARGV[1]) ~= ARGV[2] then return {0, 0} end
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
return {1, 0}
";

/// Arguments: now, how many, most bytes. Answers: id, token, payload, history for each job whose lease is over.
pub(super) const EXPIRED: &str = with_forget!(
    r"
local out, left = {}, tonumber(ARGV[3])
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', ARGV[1], 'LIMIT', 0, tonumber(ARGV[2]))) do
  local payload, token = redis.call('HGET', KEYS[2], id), redis.call('HGET', KEYS[4], id)
  if left < 0 then break end
  if payload and token then
    out[#out + 1] = id
    out[#out + 1] = token
    out[#out + 1] = payload
    out[#out + 1] = redis.call('HGET', KEYS[3], id) or ''
    left = left - #payload
  else
    forget(id)
  end
end
return out
"
);

/// Answers the lengths of the queue, retries, leased, dead letters, overflow.
pub(super) const DEPTHS: &str = r"
return {redis.call('LLEN', KEYS[1]), redis.call('ZCARD', KEYS[6]), redis.call('ZCARD', KEYS[5]), redis.call('LLEN', KEYS[7]), redis.call('LLEN', KEYS[8])}
";

/// Key 1: a dead letter list. Arguments: start, how many, largest entry, most bytes. Answers the length, then for each entry its bytes, or
/// an empty text for one that is too large.
pub(super) const PAGE: &str = r"
local out, left = {redis.call('LLEN', KEYS[1])}, tonumber(ARGV[4])
local from = tonumber(ARGV[1])
for at = from, from + tonumber(ARGV[2]) - 1 do
  local entry = redis.call('LINDEX', KEYS[1], at)
  if not entry then break end
  if #entry > tonumber(ARGV[3]) then entry = '' end
  left = left - #entry
  if left < 0 and #out > 1 then break end
  out[#out + 1] = entry
end
return out
";

/// Key 1: a dead letter list, 2: the queue, 3: its retries. Arguments: most jobs, then pairs of entry and payload. Answers how many were moved,
/// and whether the queue is full.
pub(super) const REVIVE: &str = r"
local moved = 0
for i = 2, #ARGV, 2 do
  if redis.call('LLEN', KEYS[2]) + redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[1]) then return {moved, 1} end
  if redis.call('LREM', KEYS[1], 1, ARGV[i]) == 1 then
    redis.call('RPUSH', KEYS[2], ARGV[i + 1])
    moved = moved + 1
  end
end
return {moved, 0}
";

/// Key 1: a dead letter list. Arguments: entries. Answers how many were there.
pub(super) const ERASE: &str = r"
local erased = 0
for i = 1, #ARGV do erased = erased + redis.call('LREM', KEYS[1], 1, ARGV[i]) end
return erased
";

/// Key 1: a dead letter list. Arguments: pairs of an entry and how often it shall be there at least. Answers how many came back.
pub(super) const RESTORE: &str = r"
local restored = 0
for i = 1, #ARGV, 2 do
  for _ = #redis.call('LPOS', KEYS[1], ARGV[i], 'COUNT', 0) + 1, tonumber(ARGV[i + 1]) do
    redis.call('RPUSH', KEYS[1], ARGV[i])
    restored = restored + 1
  end
end
return restored
";
