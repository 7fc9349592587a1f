// Peer: node.
//
//   node --expose-gc bench/node.mjs              prints the names of its benchmarks
//   node --expose-gc bench/node.mjs NAME [N]     prints ns of CPU time per operation, or the row's own figure
//   node bench/node.mjs --once NAME [N]          the same of one run, without one to warm up

const million = 1000000;
const maxBatches = 20;
const collect = globalThis.gc ?? (() => {});

const withResolvers = () => {
  let resolve, reject;
  const promise = new Promise((a, b) => { resolve = a; reject = b; });
  return { promise, resolve, reject };
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const same = () => 10;
const spread = (i) => 1 + (i % 1000);

async function awaitNil(n) {
  for (let i = 0; i < n; i++) await undefined;
}

async function awaitSettled(n) {
  const p = Promise.resolve(1);
  for (let i = 0; i < n; i++) await p;
}

async function awaitPending(n) {
  for (let i = 0; i < n; i++) {
    const { promise, resolve } = withResolvers();
    queueMicrotask(resolve);
    await promise;
  }
}

async function awaitNext(n) {
  const p = Promise.resolve(1);
  const f = () => {};
  for (let i = 0; i < n; i++) await p.then(f);
}

async function call(n) {
  const f = async (x) => x;
  for (let i = 0; i < n; i++) await f(i);
}

async function callPending(n) {
  const f = async () => {
    const { promise, resolve } = withResolvers();
    queueMicrotask(resolve);
    await promise;
  };
  for (let i = 0; i < n; i++) await f();
}

async function callNext(n) {
  const settled = Promise.resolve(1);
  const g = () => {};
  const f = async () => { await settled.then(g); };
  for (let i = 0; i < n; i++) await f();
}

async function chain(n) {
  const increment = (x) => x + 1;
  let p = Promise.resolve(0);
  for (let i = 0; i < n; i++) p = p.then(increment);
  if (await p !== n) throw new Error('chain');
}

async function all(n) {
  const f = async (x) => x;
  const calls = [];
  for (let i = 0; i < n; i++) calls.push(f(i));
  const values = await Promise.all(calls);
  if (values.length !== n) throw new Error('all');
}

const sleepers = (delay) => async (n) => {
  const sleeper = async (i) => { await sleep(delay(i)); };
  const calls = [];
  for (let i = 0; i < n; i++) calls.push(sleeper(i));
  await Promise.all(calls);
};

const timers = (delay) => (n) => new Promise((resolve) => {
  let fired = 0;
  const count = () => { if (++fired === n) resolve(); };
  for (let i = 0; i < n; i++) setTimeout(count, delay(i));
});

// Throws after an await and catches what an await raises.
async function throwCatch(n) {
  const f = async () => {
    await undefined;
    throw new Error('boom');
  };
  let caught = 0;
  for (let i = 0; i < n; i++) {
    try { await f(); } catch { caught++; }
  }
  if (caught !== n) throw new Error('throw_catch');
}

async function generator(n) {
  const count = async function* (last) {
    for (let i = 1; i <= last; i++) yield i;
  };
  let sum = 0;
  for await (const i of count(n)) sum += i;
  if (sum !== n * (n + 1) / 2) throw new Error('generator');
}

async function timeout(ms, f, ...args) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([f(...args), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function timeouts(n) {
  const f = async (x) => x;
  for (let i = 0; i < n; i++) await timeout(1000, f, i);
}

// First in, first out; push and pop give a promise each.
class Queue {
  #items = [];
  #takers = [];
  #pushers = [];
  #capacity;
  constructor(capacity) { this.#capacity = capacity; }

  async push(item) {
    const take = this.#takers.shift();
    if (take) return take(item);
    while (this.#items.length >= this.#capacity) {
      await new Promise((resolve) => { this.#pushers.push(resolve); });
    }
    this.#items.push(item);
  }

  pop() {
    if (this.#items.length === 0) {
      return new Promise((resolve) => { this.#takers.push(resolve); });
    }
    this.#pushers.shift()?.();
    return Promise.resolve(this.#items.shift());
  }
}

// Two functions hand an item to and fro.
async function queue(n) {
  const there = new Queue(1), back = new Queue(1);
  const first = async () => {
    for (let i = 0; i < n / 2; i++) {
      there.push(i);
      await back.pop();
    }
  };
  const second = async () => {
    for (let i = 0; i < n / 2; i++) back.push(await there.pop());
  };
  await Promise.all([first(), second()]);
}

class Semaphore {
  #free;
  #line = [];
  #head = 0; // shift() moves a long array each time
  constructor(n) { this.#free = n; }

  async acquire() {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise((resolve) => { this.#line.push(resolve); });
  }

  release() {
    if (this.#head === this.#line.length) {
      this.#free++;
      return;
    }
    const next = this.#line[this.#head];
    this.#line[this.#head++] = undefined;
    next();
  }
}

// A page costs 1 to 10 ms of waiting and a way through five functions; each hundredth is missing.
function newFetch() {
  let fetch = async (i) => {
    await sleep(1 + i % 10);
    if (i % 100 === 0) throw new Error(`no page ${i}`);
    return i;
  };
  for (let level = 2; level <= 5; level++) {
    const inner = fetch;
    fetch = async (i) => {
      const page = await inner(i);
      return page;
    };
  }
  return fetch;
}

async function crawler(n) {
  const fetch = newFetch(), limit = new Semaphore(1000);
  let missing = 0;
  const job = async (i) => {
    await limit.acquire();
    try {
      return await timeout(10000, fetch, i);
    } catch {
      missing++;
      return false;
    } finally {
      limit.release();
    }
  };
  const jobs = [];
  for (let i = 1; i <= n; i++) jobs.push(job(i));
  await Promise.all(jobs);
  if (missing !== Math.floor(n / 100)) throw new Error('crawler');
}

// ns of the longest ten calls that come and go, where n functions are started before and stay
// suspended: by the clock on the wall, since a collector's threads do not make anybody wait.
async function pause(n) {
  const shared = new Promise(() => {});
  const wait = async () => { await shared; };
  const pass = async (x) => {
    await undefined;
    return x;
  };
  const keep = [];
  let longest = 0, last = performance.now();
  const lap = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  };
  for (let i = 1; i <= n; i++) {
    keep.push(wait());
    if (i % 10 === 0) lap();
  }
  for (let i = 1; i <= 20 * n; i++) {
    await pass(i);
    if (i % 10 === 0) lap();
  }
  if (keep.length !== n) throw new Error('pause');
  return longest * 1e6;
}

function suspendedBytes(measure) {
  return async (n) => {
    const { promise } = withResolvers();
    const f = async () => { await promise; };
    const keep = new Array(n).fill(null);
    collect();
    const before = measure();
    for (let i = 0; i < n; i++) keep[i] = f();
    collect();
    return (measure() - before) / n;
  };
}

const benches = {
  await_nil: { n: million, rounds: 8, run: awaitNil },
  await_settled: { n: million, rounds: 8, run: awaitSettled },
  await_pending: { n: million, rounds: 5, run: awaitPending },
  await_next: { n: million, rounds: 5, run: awaitNext },
  call: { n: million, rounds: 5, run: call },
  call_pending: { n: million, rounds: 5, run: callPending },
  call_next: { n: million, rounds: 5, run: callNext },
  chain: { n: million, rounds: 5, run: chain },
  all: { n: 100000, rounds: 20, run: all },
  sleepers: { n: million, rounds: 3, run: sleepers(same) },
  sleepers_spread: { n: million, rounds: 3, run: sleepers(spread) },
  throw_catch: { n: 100000, rounds: 20, run: throwCatch },
  generator: { n: million, rounds: 5, run: generator },
  timeout: { n: 100000, rounds: 20, run: timeouts },
  queue: { n: million, rounds: 5, run: queue },
  crawler: { n: 20000, rounds: 5, run: crawler },
  pause: { n: 100000, figure: true, run: pause },
  timers: { n: million, rounds: 3, run: timers(same) },
  timers_spread: { n: million, rounds: 3, run: timers(spread) },
  suspended_count: {
    n: 100000, figure: true, run: suspendedBytes(() => process.memoryUsage().heapUsed),
  },
  suspended_rss: { n: 100000, figure: true, run: suspendedBytes(() => process.memoryUsage().rss) },
};

async function measure(bench, n = bench.n) {
  if (bench.figure) return bench.run(n);
  const batches = Math.max(1, Math.min(maxBatches, Math.floor(bench.n / n)));
  let best = Infinity;
  for (let round = 0; round < bench.rounds; round++) {
    collect();
    const start = process.cpuUsage();
    const wall = process.hrtime.bigint();
    for (let batch = 0; batch < batches; batch++) await bench.run(n);
    const used = process.cpuUsage(start);
    if (process.env.WALL) console.error('wall', Number(process.hrtime.bigint() - wall) / (n * batches));
    best = Math.min(best, used.user + used.system);
  }
  return best * 1000 / (n * batches);
}

async function measureOnce(bench, n = bench.n) {
  if (bench.figure) return bench.run(n);
  const start = process.cpuUsage();
  await bench.run(n);
  const used = process.cpuUsage(start);
  return (used.user + used.system) * 1000 / n;
}

const args = process.argv.slice(2);
const once = args[0] === '--once';
const [name, n] = once ? args.slice(1) : args;
if (name === undefined) {
  console.log(Object.keys(benches).join('\n'));
} else {
  if (!Object.hasOwn(benches, name)) throw new Error(`no benchmark ${name}`);
  const figure = await (once ? measureOnce : measure)(benches[name], n && Number(n));
  console.log(figure.toFixed(2));
}
