// The dialect in standard C++, for the emulator. Threads are fibers on one
// thread of the host: each runs until it meets a barrier or waits. The blocks
// of a grid run one after the other, or all at once if they wait for each other.

#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <ucontext.h>
#include <utility>
#include <vector>

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;

struct Thread {
  int index, count;             // in the block
  int group_x, group_y, group_z; // the block's place in the grid
};

namespace emu {

const int warp_size = 32, max_threads = 1024;

struct Span {
  char *data;
  int64_t bytes, width; // of a row, where the kernel takes a matrix
};

typedef void (*Kernel)(const Span *, const void *, Thread);

// Fiber is a stack on which threads of a block run, one at a time.
struct Block;
struct Fiber {
  bool entered;
  Block *home;
  ucontext_t start;
  jmp_buf place;
  std::vector<char> stack;
  int thread;    // of the block
  uint exchanges; // so far
  const char *waits; // for what, in words
  Fiber *prev, *next;
};

static const char *kernel_name;
static Kernel kernel;
static const Span *spans;
static const void *args;
static Thread block;   // the current one
static bool backwards; // threads run from the last to the first

static char failure[1024], deadlock[800];
static jmp_buf scheduler;
static std::vector<Fiber *> idle; // fibers without a thread
static Fiber *current;
static int threads, started, ended; // of all blocks that run at once

// Meeting counts the threads that wait for each other.
struct Meeting {
  int arrived, ended, generation;
};

// Fragment is a lane's part of the operands of matrix_add.
struct Fragment {
  float a[8], b[4];
};

// Copy is an asynchronous copy of 16 bytes, of zeros without a source, in a thread's group of copies.
struct Copy {
  void *to;
  const void *from;
  int group;
};

struct Copies {
  std::vector<Copy> pending;
  int group;
};

// Product is one of a warpgroup that is under way; Products are those that a
// thread waits for, and what its sums are without them.
struct Product {
  ulong a, b;
  int batch;
  bool add;
};

struct Products {
  std::vector<Product> pending;
  std::vector<float> sums;
  float *of;
  int batch;
};

// Block is what the threads of a block share.
struct Block {
  Thread place;
  Meeting all, some, warps[max_threads / warp_size];
  uint exchanged[max_threads / warp_size][2][warp_size];
  Fragment fragments[max_threads / warp_size][2][warp_size];
  Copies copies[max_threads];
  Products products[max_threads];
  std::vector<char> memory; // dynamic shared memory, the margin, and room to align it
};
static std::vector<Block> blocks;
static Meeting together; // of the threads of all blocks that run at once

// The current block's.
static Meeting *all, *warps;
static uint (*exchanged)[2][warp_size];
static Fragment (*fragments)[2][warp_size];
static Copies *copies;
static char *dynamic_memory;
static int dynamic_bytes;
const int margin = 4096; // bytes after it, which are not to be read

static char *dynamic_of(Block &b) { return b.memory.data() + (-uintptr_t(b.memory.data()) & 127); }

static void use(Block *b) {
  block = b->place;
  all = &b->all;
  warps = b->warps;
  exchanged = b->exchanged;
  fragments = b->fragments;
  copies = b->copies;
  dynamic_memory = dynamic_of(*b);
}

static void fail(const char *what, long index, long size) {
  if (failure[0] == 0)
    snprintf(failure, sizeof failure, "%s: block (%d, %d, %d), thread %d: %s (index %ld of %ld)", kernel_name,
             block.group_x, block.group_y, block.group_z, current->thread, what, index, size);
}

// What races_host.h wants to know of.
static void watch();
static void used(const void *p, long bytes, bool write);
static void met(const Meeting &m, int size);
static void turned();

static int idle_turns; // since a thread last got on

static void got_on() { idle_turns = 0; }

[[noreturn]] static void enter(Fiber *f) {
  current = f;
  if (f->home != nullptr && f->home->warps != warps) use(f->home);
  if (!f->entered) {
    f->entered = true;
    setcontext(&f->start);
  }
  _longjmp(f->place, 1);
}

// settle ends a meeting that no thread is missing from.
static void settle(Meeting &m, int size) {
  if (m.arrived == 0 || m.arrived + m.ended < size) return;
  if (m.ended > 0) fail("some threads do not reach this barrier", m.arrived, size);
  m.arrived = 0;
  m.generation++;
  met(m, size);
  got_on();
}

static int warp_threads(int warp) {
  int left = block.count - warp * warp_size;
  return left < warp_size ? left : warp_size;
}

// run is the life of a fiber: it takes threads until there are none left.
static void run() {
  for (;;) {
    Fiber *f = current;
    while (started < threads) {
      int at = backwards ? threads - 1 - started : started;
      started++;
      f->home = &blocks[at / block.count];
      f->thread = at % block.count;
      f->exchanges = 0;
      use(f->home);
      Thread t = block;
      t.index = f->thread;
      got_on();
      kernel(spans, args, t);
      int warp = f->thread / warp_size;
      got_on();
      ended++;
      all->ended++;
      warps[warp].ended++;
      settle(*all, block.count);
      settle(warps[warp], warp_threads(warp));
    }
    f->home = nullptr;
    Fiber *next = f->next;
    f->prev->next = next;
    next->prev = f->prev;
    idle.push_back(f);
    if (_setjmp(f->place) == 0) {
      if (next == f) _longjmp(scheduler, 1);
      enter(next);
    }
  }
}

// join adds a fiber without a thread to the ring of the block's fibers.
static Fiber *join(Fiber *after) {
  Fiber *f;
  if (idle.empty()) {
    f = new Fiber();
    f->stack.resize(128 << 10);
    getcontext(&f->start);
    f->start.uc_stack.ss_sp = f->stack.data();
    f->start.uc_stack.ss_size = f->stack.size();
    makecontext(&f->start, run, 0);
  } else {
    f = idle.back();
    idle.pop_back();
  }
  if (after == nullptr) after = f->next = f;
  f->prev = after;
  f->next = after->next;
  f->next->prev = f;
  after->next = f;
  return f;
}

// abandon ends the launch, whose threads wait for each other in vain. The
// message names a thread for each thing that is waited for.
[[noreturn]] static void abandon() {
  Fiber *f = current;
  std::vector<std::pair<const char *, Block *>> told;
  int length = snprintf(deadlock, sizeof deadlock, "no thread gets on");
  do {
    bool known = f->home == nullptr;
    for (auto &t : told) known = known || (t.first == f->waits && t.second == f->home);
    if (!known && length < int(sizeof deadlock)) {
      told.push_back({f->waits, f->home});
      length += snprintf(deadlock + length, sizeof deadlock - length, "; thread %d of block %d waits for %s", f->thread, int(f->home - blocks.data()), f->waits);
    }
    f = f->next;
  } while (f != current);
  fail(deadlock, 0, 0);
  do {
    f->entered = false;
    f->home = nullptr;
    idle.push_back(f);
    f = f->next;
  } while (f != current);
  _longjmp(scheduler, 1);
}

// Whether bulk copies are under way, and the end of one of them.
static bool copying();
static void land();
static uint64_t chance = 1; // the state of a xorshift generator

// roll returns a number below n.
static uint roll(uint n) {
  chance ^= chance << 13;
  chance ^= chance >> 7;
  chance ^= chance << 17;
  return uint(chance >> 32) % n;
}

// yield lets another thread run: the next, or now and then where blocks wait
// for each other any other.
static void yield(const char *waits) {
  Fiber *f = current;
  f->waits = waits;
  Fiber *next = started < threads ? join(f) : f->next;
  if (threads > block.count && started == threads)
    for (int skip = roll(64) == 0 ? int(roll(threads)) : 0; skip > 0; skip--) next = next->next;
  int living = started - ended;
  if (copying() && (roll(32) == 0 || idle_turns > 4 * living)) land();
  if (++idle_turns > 64 * living + 1000) abandon();
  if (next != f && _setjmp(f->place) == 0) enter(next);
}

static void meet(Meeting &m, int size, const char *who = "the rest of its warp") {
  int generation = m.generation;
  m.arrived++;
  settle(m, size);
  while (m.generation == generation) yield(who);
}

// run_blocks runs blocks first..first+n-1 of a grid at once.
static void run_blocks(int first, int n, const int *grid, int count) {
  blocks.resize(n);
  for (int i = 0; i < n; i++) {
    Block &b = blocks[i];
    int at = first + i;
    b.place = Thread{0, count, at % grid[0], at / grid[0] % grid[1], at / grid[0] / grid[1]};
    b.all = b.some = Meeting{};
    memset(b.warps, 0, sizeof b.warps);
    for (int j = 0; j < count; j++) {
      b.copies[j] = Copies{};
      b.products[j] = Products{};
    }
    b.memory.assign(dynamic_bytes + margin + 128, char(0xff)); // NaN
  }
  together = Meeting{};
  use(&blocks[0]);
  threads = n * count;
  started = ended = 0;
  watch();
  got_on();
  if (_setjmp(scheduler) == 0) enter(join(nullptr));
}

// Pointer is a pointer into a buffer that knows the buffer's bounds.
template <class T> struct Pointer {
  T *at, *from, *to;

  explicit Pointer(const Span &s) : at((T *)s.data), from(at), to((T *)(s.data + s.bytes)) {}
  Pointer(T *at, T *from, T *to) : at(at), from(from), to(to) {}
  operator Pointer<const T>() const { return {at, from, to}; }

  T &operator[](long i) const {
    static uint64_t nowhere;
    long index = at - from + i, size = to - from;
    if (index >= 0 && index < size) return at[i];
    fail("outside of a buffer", index, size);
    nowhere = 0;
    return *(T *)&nowhere;
  }
  Pointer operator+(long i) const { return {at + i, from, to}; }
};

template <class A, class... P, size_t... I>
static void call(void (*body)(const A &, Thread, P...), const Span *s, const void *args, Thread t, std::index_sequence<I...>) {
  body(*(const A *)args, t, P(s[I])...);
}

template <class A, class... P>
static void call(void (*body)(const A &, Thread, P...), const Span *s, const void *args, Thread t) {
  call<A, P...>(body, s, args, t, std::index_sequence_for<P...>());
}

} // namespace emu

#define THREAD _thread
#define EARLY_THREAD THREAD // kernels run one after the other
#define DEVICE static inline
#define GLOBAL(T) emu::Pointer<T>
#define LOCAL(T) T *
#define OWN(T) T *
#define ARGS(A) const A &
#define BUF(i, T, name) emu::Pointer<T> name
#define SHARED(T, name, n) alignas(16) static T name[n]
#define KERNEL(name, A, ...)                                                                      \
  static void name##_body(const A &args, Thread _thread, __VA_ARGS__);                            \
  extern "C" void name(const emu::Span *s, const void *args, Thread t) {                          \
    emu::call(name##_body, s, args, t);                                                           \
  }                                                                                               \
  static void name##_body(const A &args, Thread _thread, __VA_ARGS__)
#define BOUNDED(threads, blocks, ...) KERNEL(__VA_ARGS__)
#define UNROLL
#define UNROLL_4
#define UNROLL_BY(n)
#define ROLLED
#define AS(T, p) emu::Pointer<T>((T *)(p).at, (T *)(p).from, (T *)(p).to)

DEVICE void inputs_ready() {}
template <class T> DEVICE void prefetch(emu::Pointer<T> p) { p[0]; }

DEVICE void barrier() {
  emu::meet(*emu::all, emu::block.count, "the rest of its block");
  emu::turned();
}

DEVICE float as_float(uint u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}

DEVICE uint as_uint(float f) {
  uint u;
  memcpy(&u, &f, 4);
  return u;
}

namespace emu {

// exchange shows a lane the words of its whole warp.
static const uint *exchange(uint v) {
  int warp = current->thread / warp_size, lane = current->thread % warp_size;
  uint *words = exchanged[warp][current->exchanges++ % 2]; // the other half may still be read
  words[lane] = v;
  meet(warps[warp], warp_threads(warp));
  return words;
}

} // namespace emu

DEVICE uint shuffle_xor(uint v, int mask) { return emu::exchange(v)[emu::current->thread % emu::warp_size ^ mask]; }

// warp_fold combines the numbers of a warp's lanes.
template <class Combine> DEVICE float warp_fold(float v) {
  const uint *words = emu::exchange(as_uint(v));
  v = as_float(words[0]);
  for (int lane = 1; lane < emu::warp_size; lane++) v = Combine::of(v, as_float(words[lane]));
  return v;
}

DEVICE float fexp(float x) { return expf(x); }
DEVICE float flog(float x) { return logf(x); }
DEVICE float ftanh(float x) { return tanhf(x); }
DEVICE float ferf(float x) { return erff(x); }
DEVICE float fsqrt(float x) { return sqrtf(x); }
DEVICE float fsin(float x) { return sinf(x); }
DEVICE float fcos(float x) { return cosf(x); }

struct f16 {
  ushort bits;
};

// to_float widens an IEEE 754 binary16 by scaling its exponent as a float's.
DEVICE float to_float(f16 h) {
  uint magnitude = uint(h.bits & 0x7fff) << 13, sign = uint(h.bits & 0x8000) << 16;
  if (magnitude >= 0x1fu << 23) return as_float(sign | 0x7f800000 | (magnitude & 0x7fffff));
  return as_float(sign | as_uint(as_float(magnitude) * 0x1p112f));
}

// to_f16 rounds to nearest, ties to even.
DEVICE f16 to_f16(float f) {
  uint u = as_uint(f), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  if (magnitude > 0x7f800000) return f16{ushort(sign | 0x7e00)};
  if (magnitude >= 0x477ff000) return f16{ushort(sign | 0x7c00)}; // 65520 and above
  if (magnitude < 0x38800000)                                     // below 2^-14: a multiple of 2^-24
    return f16{ushort(sign | (as_uint(as_float(magnitude) + 0.5f) - as_uint(0.5f)))};
  magnitude += 0xfff + (magnitude >> 13 & 1);
  return f16{ushort(sign | (magnitude - 0x38000000) >> 13)};
}

// words4 loads 16 aligned bytes.
struct Words4 {
  uint w[4];
};

template <class T> DEVICE Words4 words4(emu::Pointer<T> p) {
  Words4 w = {};
  long last = 16 / sizeof(T) - 1;
  if (uintptr_t(p.at) % 16 != 0)
    emu::fail("a vector that is not aligned", long(uintptr_t(p.at) % 16), 16);
  else if (&p[0] == p.at && &p[last] == p.at + last)
    memcpy(&w, p.at, 16);
  return w;
}

// four loads 16 aligned bytes of shared memory.
struct Four {
  float v[4];
};

DEVICE Four four(const float *p) {
  long past = (const char *)p + 16 - emu::dynamic_memory - emu::dynamic_bytes;
  if (past > 0 && past <= emu::margin) emu::fail("past the end of dynamic shared memory", past, emu::dynamic_bytes);
  return Four{{p[0], p[1], p[2], p[3]}};
}

#define MATRIX 1
// DYNAMIC is the shared memory whose size the launch gives.
#define DYNAMIC(name) uchar *name = (uchar *)emu::dynamic_memory

namespace emu {

// within checks an access to dynamic shared memory.
static bool within(const void *p, int bytes) {
  long at = (const char *)p - dynamic_memory;
  bool ok = at >= 0 && at + bytes <= dynamic_bytes && at % bytes == 0;
  if (!ok) fail("outside of dynamic shared memory or not aligned", at, dynamic_bytes);
  return ok;
}

} // namespace emu

// local4 loads 16 aligned bytes of shared memory.
template <class T> DEVICE Words4 local4(const T *p) {
  Words4 w = {};
  emu::used(p, 16, false);
  if (emu::within(p, 16)) memcpy(&w, p, 16);
  return w;
}

// put_local4 stores four words at 16 aligned bytes of shared memory.
DEVICE void put_local4(uint *p, const uint (&w)[4]) {
  emu::used(p, 16, true);
  if (emu::within(p, 16)) memcpy(p, w, 16);
}

// Blocks that share counters run one after the other.
DEVICE void fence() {}
DEVICE uint count_up(GLOBAL(uint) counts, int i) { return counts[i]++; }

// A copy arrives as late as it may, when its thread waits for it; what was
// there before is lost as soon as it may be.
template <class T, class S> DEVICE void copy16(T *to, emu::Pointer<S> from, bool inside) {
  emu::Copies &c = emu::copies[emu::current->thread];
  if (!emu::within(to, 16)) return;
  if (inside) words4(from); // checks
  c.pending.push_back({to, inside ? (const void *)from.at : nullptr, c.group});
  memset(to, 0xff, 16);
}

DEVICE void copies_end() { emu::copies[emu::current->thread].group++; }

template <int N> DEVICE void copies_wait() {
  emu::Copies &c = emu::copies[emu::current->thread];
  size_t done = 0;
  for (; done < c.pending.size() && c.pending[done].group < c.group - N; done++) {
    const emu::Copy &copy = c.pending[done];
    if (copy.from)
      memcpy(copy.to, copy.from, 16);
    else
      memset(copy.to, 0, 16);
  }
  c.pending.erase(c.pending.begin(), c.pending.begin() + done);
}

namespace emu {

static void unpack(float *to, uint pair) {
  to[0] = as_float(pair << 16);
  to[1] = as_float(pair & 0xffff0000u);
}

} // namespace emu

// matrix_add: lane 4g + t holds rows g and g + 8 of a and column g of b, of
// each the elements 2t, 2t + 1, 2t + 8, 2t + 9 along k; of c it holds columns
// 2t and 2t + 1 in rows g and g + 8.
DEVICE void matrix_add(Four &c, uint a0, uint a1, uint a2, uint a3, uint b0, uint b1) {
  int warp = emu::current->thread / emu::warp_size, lane = emu::current->thread % emu::warp_size;
  emu::Fragment *all = emu::fragments[warp][emu::current->exchanges++ % 2], &own = all[lane];
  const uint a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
  for (int i = 0; i < 4; i++) emu::unpack(own.a + 2 * i, a[i]);
  for (int i = 0; i < 2; i++) emu::unpack(own.b + 2 * i, b[i]);
  emu::meet(emu::warps[warp], emu::warp_threads(warp));
  int g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; i++) { // rows g, g, g + 8, g + 8; columns 2t, 2t + 1
    float sum = 0;
    for (int k = 0; k < 4; k++) {
      const emu::Fragment &left = all[4 * g + k], &right = all[4 * (2 * t + i % 2) + k];
      for (int half = 0; half < 2; half++)
        for (int j = 0; j < 2; j++) sum += left.a[4 * half + 2 * (i / 2) + j] * right.b[2 * half + j];
    }
    c.v[i] += sum;
  }
}

DEVICE float fexp2(float x) { return exp2f(x); }

// bf16_pair rounds two numbers, the first into the low half.
DEVICE uint bf16_pair(float a, float b) {
  const float both[2] = {a, b};
  uint rounded[2];
  for (int i = 0; i < 2; i++) {
    uint u = as_uint(both[i]);
    rounded[i] = (u & 0x7fffffff) > 0x7f800000 ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
  }
  return rounded[0] | rounded[1] << 16;
}

DEVICE uint low_halves(uint a, uint b) { return (a & 0xffff) | b << 16; }
DEVICE uint high_halves(uint a, uint b) { return a >> 16 | (b & 0xffff0000u); }

// emu_launch runs a grid, so many of its blocks at once, and returns nullptr or
// what went wrong.
extern "C" const char *emu_launch(emu::Kernel kernel, const char *name, const int *grid, int threads, int dynamic, int together, int backwards,
                                  const emu::Span *spans, const void *args) {
  emu::kernel = kernel;
  emu::kernel_name = name;
  emu::spans = spans;
  emu::args = args;
  emu::backwards = backwards != 0;
  emu::failure[0] = 0;
  emu::dynamic_bytes = dynamic;
  int n = grid[0] * grid[1] * grid[2];
  for (int first = 0; first < n && emu::failure[0] == 0; first += together) emu::run_blocks(first, together, grid, threads);
  return emu::failure[0] ? emu::failure : nullptr;
}
