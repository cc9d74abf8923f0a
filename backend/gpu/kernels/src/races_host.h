// With RACES the emulator watches dynamic shared memory: two threads that use the same bytes, one of
// them to write, must have met in between. The compiler's instrumentation for thread sanitizers
// (-fsanitize=thread, without its library) tells of each access.
//
// What happens before what is known by vector clocks of warps (Mattern 1989), which barriers and gates join, and within a warp by
// the number of barriers that a thread has passed. Shuffles order nothing; what a lane tells a gate counts for its warp.

namespace emu {

#ifdef RACES
#define UNWATCHED __attribute__((no_sanitize("thread")))

const int most_warps = 16;

// Use is the last use of some bytes by a warp: when, by its clock and by the barriers that the thread had passed. Several threads that
// read after the same barrier are none of them.
struct Use {
  uint clock, turn;
  int thread;
};
const int several = -1;

// Cell is two bytes of shared memory.
struct Cell {
  Use write, reads[most_warps];
};

// Knowledge is how far a warp or a gate knows each warp.
struct Knowledge {
  uint of[most_warps];
};

UNWATCHED static void learn(Knowledge &to, const Knowledge &from) {
  for (int w = 0; w < most_warps; w++)
    if (from.of[w] > to.of[w]) to.of[w] = from.of[w];
}

// Watch is what is known of a block.
struct Watch {
  Cell *cells;
  Knowledge warps[most_warps];
  uint turns[max_threads];
  struct {
    const void *gate;
    Knowledge known;
  } gates[64];
};
static Watch *watches;
static int watched; // blocks
static bool busy;   // the watch looks at memory itself

UNWATCHED static void watch() {
  for (int i = 0; i < watched; i++) free(watches[i].cells);
  free(watches);
  watched = block.count > most_warps * warp_size ? 0 : int(blocks.size());
  watches = (Watch *)calloc(watched, sizeof *watches);
  for (int i = 0; i < watched; i++) {
    watches[i].cells = (Cell *)calloc(dynamic_bytes / 2 + 1, sizeof(Cell));
    for (int w = 0; w < most_warps; w++) watches[i].warps[w].of[w] = 1;
  }
}

UNWATCHED static Watch *own_watch() { return watched > 0 && current != nullptr && current->home != nullptr ? watches + (current->home - &blocks[0]) : nullptr; }

// ordered reports whether a warp's use comes before what the current thread does now.
UNWATCHED static bool ordered(const Watch &w, const Use &u, int warp) {
  int thread = current->thread;
  if (u.clock == 0 || u.thread == thread) return true;
  return warp == thread / warp_size ? u.turn < w.turns[thread] : u.clock <= w.warps[thread / warp_size].of[warp];
}

// used looks at a use of some bytes by the current thread.
UNWATCHED static void used(const void *p, long bytes, bool write) {
  if (busy) return;
  busy = true;
  Watch *w = own_watch();
  long at = w != nullptr ? (const char *)p - dynamic_memory : -1;
  for (long i = at / 2; at >= 0 && at + bytes <= dynamic_bytes && i <= (at + bytes - 1) / 2; i++) {
    Cell &c = w->cells[i];
    int thread = current->thread, warp = thread / warp_size;
    if (!ordered(*w, c.write, c.write.thread / warp_size)) fail(write ? "writes shared memory that another thread wrote, without having met it" : "reads shared memory that another thread wrote, without having met it", 2 * i, c.write.thread);
    for (int r = 0; write && r < most_warps; r++)
      if (!ordered(*w, c.reads[r], r)) fail("writes shared memory that another thread read, without having met it", 2 * i, c.reads[r].thread);
    Use now = {w->warps[warp].of[warp], w->turns[thread], thread};
    Use &last = c.reads[warp];
    if (write) {
      c = Cell{};
      c.write = now;
    } else if (last.clock == 0 || last.turn <= now.turn) {
      if (last.clock > 0 && last.turn == now.turn && last.thread != thread) now.thread = several;
      last = now;
    }
  }
  busy = false;
}

// join says that the first warps of a block have met.
UNWATCHED static void join(Watch &w, int warps) {
  Knowledge all = {};
  for (int i = 0; i < warps; i++) learn(all, w.warps[i]);
  for (int i = 0; i < warps; i++) {
    w.warps[i] = all;
    w.warps[i].of[i]++;
  }
}

// met says that some threads have met: the first of a block, those of all blocks or those of a warp.
UNWATCHED static void met(const Meeting &m, int size) {
  Watch *w = own_watch();
  if (w == nullptr) return;
  if (&m == &current->home->all || &m == &current->home->some) join(*w, (size + warp_size - 1) / warp_size);
  if (&m != &together) return;
  for (int i = 0; i < watched; i++) join(watches[i], (block.count + warp_size - 1) / warp_size);
}

// turned says that the current thread has passed a barrier.
UNWATCHED static void turned() {
  if (Watch *w = own_watch()) w->turns[current->thread]++;
}

// known_at is what a gate knows, or nullptr where nothing is watched.
UNWATCHED static Knowledge *known_at(const void *gate) {
  Watch *w = own_watch();
  if (w == nullptr) return nullptr;
  for (auto &g : w->gates)
    if (g.gate == gate || g.gate == nullptr) {
      g.gate = gate;
      return &g.known;
    }
  fail("more gates than are watched", 0, 64);
  return nullptr;
}

// told says that a gate knows what the current warp does, learnt that the warp knows what the gate does.
UNWATCHED static void told(const void *gate) {
  Knowledge *k = known_at(gate);
  if (k == nullptr) return;
  int warp = current->thread / warp_size;
  Knowledge &own = own_watch()->warps[warp];
  learn(*k, own);
  own.of[warp]++;
}

UNWATCHED static void learnt(const void *gate) {
  if (Knowledge *k = known_at(gate)) learn(own_watch()->warps[current->thread / warp_size], *k);
}
#else
#define UNWATCHED
static void watch() {}
static void used(const void *, long, bool) {}
static void met(const Meeting &, int) {}
static void turned() {}
static void told(const void *) {}
static void learnt(const void *) {}
#endif

} // namespace emu

#ifdef RACES
// What instrumented code calls.
#define WATCH(kind, bytes, write) \
  extern "C" UNWATCHED void __tsan_##kind##bytes(void *p) { emu::used(p, bytes, write); }
WATCH(read, 1, false)
WATCH(read, 2, false)
WATCH(read, 4, false)
WATCH(read, 8, false)
WATCH(read, 16, false)
WATCH(write, 1, true)
WATCH(write, 2, true)
WATCH(write, 4, true)
WATCH(write, 8, true)
WATCH(write, 16, true)
WATCH(unaligned_read, 2, false)
WATCH(unaligned_read, 4, false)
WATCH(unaligned_read, 8, false)
WATCH(unaligned_read, 16, false)
WATCH(unaligned_write, 2, true)
WATCH(unaligned_write, 4, true)
WATCH(unaligned_write, 8, true)
WATCH(unaligned_write, 16, true)
extern "C" UNWATCHED void __tsan_read_range(void *p, unsigned long n) { emu::used(p, n, false); }
extern "C" UNWATCHED void __tsan_write_range(void *p, unsigned long n) { emu::used(p, n, true); }
extern "C" UNWATCHED void *__tsan_memcpy(void *to, const void *from, unsigned long n) {
  emu::used(from, n, false);
  emu::used(to, n, true);
  return memcpy(to, from, n);
}
extern "C" UNWATCHED void *__tsan_memset(void *to, int v, unsigned long n) {
  emu::used(to, n, true);
  return memset(to, v, n);
}
extern "C" UNWATCHED void __tsan_init() {}
extern "C" UNWATCHED void __tsan_func_entry(void *) {}
extern "C" UNWATCHED void __tsan_func_exit() {}
extern "C" UNWATCHED void __tsan_vptr_update(void **, void *) {}
extern "C" UNWATCHED void __tsan_vptr_read(void **) {}
#endif
