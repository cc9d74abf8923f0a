// What products of warpgroups need, for the emulator. Matrix units read shared
// memory as late as they may, when their sums are waited for; until then the
// sums are NaN.

#define WARPGROUP 1

namespace emu {

// box_place is where the copy engine and the matrix units look for a byte of
// shared memory: chunks of 16 bytes change places in a row of 128.
static char *box_place(long at) { return dynamic_memory + (at ^ (at >> 7 & 7) << 4); }

static Products &products() { return current->home->products[current->thread]; }

// box_row reads 16 elements of a row of what a descriptor describes.
static void box_row(float *to, ulong descriptor, int row) {
  if (descriptor >> 62 != 1 || (descriptor >> 49 & 7) != 0) fail("a descriptor of another layout", long(descriptor >> 49), 0);
  long at = (descriptor & 0x3fff) * 16 + (descriptor >> 32 & 0x3fff) * 16 * (row / 8) + row % 8 * 128;
  for (int k = 0; k < 16; k += 8) {
    char *chunk = box_place(at + 2 * k);
    if (!within(chunk, 16)) return;
    for (int i = 0; i < 8; i++) to[k + i] = as_float(uint(((ushort *)chunk)[i]) << 16);
  }
}

static void multiply(const Product &p, float *sums, int columns) {
  int t = current->thread % (4 * warp_size), row = t / warp_size * 16 + t % warp_size / 4;
  float a[2][16], b[16];
  box_row(a[0], p.a, row);
  box_row(a[1], p.a, row + 8);
  for (int column = t % 4 * 2; column < columns; column += column % 2 ? 7 : 1) {
    box_row(b, p.b, column);
    for (int half = 0; half < 2; half++) {
      float sum = 0;
      for (int k = 0; k < 16; k++) sum += a[half][k] * b[k];
      float &to = sums[column / 8 * 4 + 2 * half + column % 2];
      to = p.add ? to + sum : sum;
    }
  }
}

} // namespace emu

// Boxes is a matrix of bf16 in global memory, with rows of so many elements.
struct Boxes {
  emu::Pointer<const ushort> at;
  long width;
  explicit Boxes(const emu::Span &s) : at(s), width(s.width) {}
};
#define BOXES(i, name) Boxes name

#define TILES(name) DYNAMIC(name)

namespace emu {

// place_of is where another block of the cluster has what the current one has at p.
template <class T> static T *place_of(T *p, int rank) { return (T *)(dynamic_of(blocks[rank]) + ((char *)p - dynamic_memory)); }

// land_box is the end of a copy of a box of rows and columns in bf16 to a place in some block's memory.
UNWATCHED static void land_box(char *memory, long to, const Boxes &m, int k, int row, int rows, int width) {
  long height = (m.at.to - m.at.from) / m.width;
  for (int r = 0; r < rows; r++)
    for (int c = 0; c < width; c += 8) {
      char *chunk = memory + (box_place(to + 128 * r + 2 * c) - dynamic_memory);
      if (row + r < height && k + c < m.width)
        memcpy(chunk, m.at.from + (row + r) * m.width + k + c, 16);
      else
        memset(chunk, 0, 16);
    }
}

// copy_box copies a box to the current block's place for it in some block.
static void copy_box(uchar *to, const Boxes &from, int k, int row, ulong *gate, int rank) {
  const int rows = 64, width = 64, bytes = 2 * rows * width;
  long at = (char *)to - dynamic_memory;
  if (at % 1024 != 0 || !within(to, 16) || !within(to + bytes - 16, 16) || !within(gate, 8)) return fail("a box that is not aligned", at, 1024);
  if (from.width == 0 || from.width % 8 != 0 || uintptr_t(from.at.from) % 16 != 0) return fail("a matrix that is not aligned", from.width, 8);
  memset(place_of(to, rank), 0xff, bytes);
  if (place_of(to, rank) == to) {
    used(to, bytes, true);
    told(gate);
  }
  Boxes m = from;
  char *memory = dynamic_of(blocks[rank]);
  bulks.push_back({[=] { land_box(memory, at, m, k, row, rows, width); }, bytes, (Gate *)place_of(gate, rank)});
}

} // namespace emu

DEVICE void copy_box(LOCAL(uchar) to, const Boxes &from, int k, int row, LOCAL(ulong) gate) {
  emu::copy_box(to, from, k, row, gate, emu::current->home - &emu::blocks[0]);
}

DEVICE void share_box(LOCAL(uchar) to, const Boxes &from, int k, int row, LOCAL(ulong) gate, int cluster) {
  for (int rank = 0; rank < cluster; rank++) emu::copy_box(to, from, k, row, gate, rank);
}

DEVICE void gate_arrive_of(LOCAL(ulong) gate, int rank) {
  if (emu::within(gate, 8)) emu::arrive(*(emu::Gate *)emu::place_of(gate, rank));
}

// The blocks that run at once are those of a cluster.
DEVICE void cluster_barrier() {
  emu::meet(emu::together, emu::threads, "the rest of its cluster");
  emu::turned();
}
DEVICE void gates_barrier() { cluster_barrier(); }

DEVICE ulong box_descriptor(LOCAL(uchar) boxes) {
  return ulong(boxes - (uchar *)emu::dynamic_memory >> 4 & 0x3fff) | ulong(1024 >> 4) << 32 | 1ul << 16 | 1ul << 62;
}

template <int N> struct GroupSums {
  float v[N / 2];
};

template <int N> DEVICE void group_begin(GroupSums<N> &s) {}
DEVICE void group_end() { emu::products().batch++; }

template <int N> DEVICE void group_multiply(GroupSums<N> &s, ulong a, ulong b, bool add) {
  emu::Products &p = emu::products();
  if (p.pending.empty()) {
    p.of = s.v;
    p.sums.assign(s.v, s.v + N / 2);
    for (float &v : s.v) v = as_float(0x7fffffff);
  }
  if (p.of != s.v) emu::fail("products with two sums under way", 0, 0);
  p.pending.push_back({a, b, p.batch, add});
}

template <int Batches, int N> DEVICE void group_wait(GroupSums<N> &s) {
  emu::Products &p = emu::products();
  size_t done = 0;
  for (; done < p.pending.size() && p.pending[done].batch < p.batch - Batches; done++) emu::multiply(p.pending[done], p.sums.data(), N);
  p.pending.erase(p.pending.begin(), p.pending.begin() + done);
  if (done > 0 && p.pending.empty()) memcpy(s.v, p.sums.data(), sizeof s.v);
  warp_barrier();
}

// put2 and put4 store aligned numbers that follow each other.
DEVICE void put2(LOCAL(float) p, float a, float b) {
  if (!emu::within(p, 8)) return;
  p[0] = a;
  p[1] = b;
}

namespace emu {

template <class T> static void put4(Pointer<T> p, const T *v) {
  if (uintptr_t(p.at) % 16 != 0) return fail("a vector that is not aligned", long(uintptr_t(p.at) % 16), 16);
  for (int i = 0; i < 4; i++) p[i] = v[i];
}

} // namespace emu

DEVICE void put4(GLOBAL(float) p, Four f) { emu::put4(p, f.v); }
DEVICE void put4(GLOBAL(uint) p, uint a, uint b, uint c, uint d) {
  const uint v[4] = {a, b, c, d};
  emu::put4(p, v);
}
