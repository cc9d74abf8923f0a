// The ring in shared memory through which all that a block reads streams.
//
// A warp of its own, the feeder, walks weights and cached
// keys and values in the order of their use and keeps the ring full with bulk
// copies. It waits for no other block, so that they keep coming while the others wait for
// each other's numbers. What one gate tells of is a portion; it lies in one piece, so that
// to find a number in it takes no arithmetic.

enum { THREADS = WARPS * WARP, TERMS = ROUNDED ? 1 : 3 }; // of bf16 to a number of x

// Ring is PORTIONS gates by turns and RING bytes. All threads that multiply take every portion in order,
// wait for it and leave it, so that a gate's one bit of parity is enough.
struct Ring {
  LOCAL(uchar) bytes;
  LOCAL(ulong) full;  // [PORTIONS]: opens when a portion has come
  LOCAL(ulong) empty; // [PORTIONS]: opens when all threads have left it
  LOCAL(uint) sizes;  // [PORTIONS]: the feeder's, bytes of each
  uint next, at;      // number and place of the next portion
  uint freed, used;   // the feeder: portions that were left, and bytes of the others
  uint pace;          // the feeder: portions on their way at most, or 0
  uint interval, due; // the feeder: cycles from one piece to the next, and when that may begin
};

struct Portion {
  uint at, number;
};

// next_portion is the next one, at the ring's start if it does not fit before its end.
DEVICE Portion next_portion(Ring &r, int bytes) {
  Portion p = {r.at + bytes <= RING ? r.at : 0u, r.next};
  r.at = p.at + bytes;
  r.next++;
  return p;
}

DEVICE void await(const Ring &r, Portion p) { gate_wait(r.full + p.number % PORTIONS, p.number / PORTIONS); }

// leave is for each thread, since what one does at a gate orders its own reads only. Before it the lanes of a warp meet, since one of them may be the next
// to write there, the row's own key. The gates order that too, but the emulator knows the order of a warp's lanes by barriers alone.
DEVICE void leave(const Ring &r, Portion p) { gate_arrive(r.empty + p.number % PORTIONS); }

// open_portion makes room for the next portion, once those as many before it as the pace have come. Of its bytes some will be filled.
DEVICE Portion open_portion(Ring &r, int bytes, int filled) {
  uint before = r.at;
  Portion p = next_portion(r, bytes);
  uint taken = bytes + (p.at < before ? RING - before : 0);
  ROLLED while (r.used + taken > RING || r.next - r.freed > PORTIONS) {
    uint gate = r.freed % PORTIONS;
    gate_wait(r.empty + gate, r.freed / PORTIONS);
    r.used -= r.sizes[gate];
    r.freed++;
  }
  r.used += taken;
  r.sizes[p.number % PORTIONS] = taken;
  if (r.pace > 0 && p.number >= r.pace) await(r, Portion{0, p.number - r.pace});
  gate_expect(r.full + p.number % PORTIONS, filled);
  return p;
}

// fill copies a part of a portion, piece by piece: in one burst they would hold up what blocks send each other.
DEVICE void fill(Ring &r, Portion p, int offset, GLOBAL(const uchar) from, int bytes) {
  ROLLED for (int at = 0; at < bytes; at += PIECE) {
    int n = bytes - at < PIECE ? bytes - at : PIECE;
    if (r.interval > 0) r.due = not_before(r.due) + r.interval * n / PIECE;
    bulk_copy(r.bytes + p.at + offset + at, from + at, n, r.full + p.number % PORTIONS);
  }
}
