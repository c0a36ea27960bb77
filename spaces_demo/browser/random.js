// The random styles of PyTorch: the same seed gives the same latents as `torch.randn` with a CPU generator.
//
// Sources: Matsumoto and Nishimura 1998 (MT19937); Box and Muller 1958, paired as PyTorch does.

const N = 624;
const M = 397;

/** A function that gives 32 random bits at a time, for a seed of 32 bits. */
function mersenneTwister(seed) {
  const state = new Uint32Array(N);
  state[0] = seed;
  for (let i = 1; i < N; i++) {
    const previous = state[i - 1] ^ (state[i - 1] >>> 30);
    state[i] = Math.imul(1812433253, previous) + i;
  }
  let place = N;
  return () => {
    if (place === N) {
      for (let i = 0; i < N; i++) {
        const mixed = (state[i] & 0x80000000) | (state[(i + 1) % N] & 0x7fffffff);
        state[i] = state[(i + M) % N] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
      }
      place = 0;
    }
    let bits = state[place++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    bits ^= bits >>> 18;
    return bits >>> 0;
  };
}

/**
 * `torch.randn(count, generator=torch.Generator().manual_seed(seed))`.
 *
 * @param {number} seed 0 to 2 ** 32 - 1.
 * @param {number} count
 * @returns {Float32Array}
 */
export function randn(seed, count) {
  const bits = mersenneTwister(seed);
  if (count < 16) return drawPairs(bits, count);
  const uniform = () => (bits() & 0xffffff) / 2 ** 24;
  const values = new Float32Array(count).map(uniform);
  const whole = count - (count % 16);
  for (let start = 0; start < whole; start += 16) toNormal(values.subarray(start, start + 16));
  if (whole < count) {
    const tail = values.subarray(count - 16);
    for (let i = 0; i < 16; i++) tail[i] = uniform();
    toNormal(tail);
  }
  return values;
}

/** Fewer than 16 numbers, which PyTorch draws in double precision. */
function drawPairs(bits, count) {
  const uniform = () => {
    const high = bits() & 0x1fffff;
    return (high * 2 ** 32 + bits()) / 2 ** 53;
  };
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const angle = 2 * Math.PI * uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** Turns 16 uniform numbers into normal ones, in place. */
function toNormal(block) {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - block[i]));
    const angle = 2 * Math.PI * block[i + 8];
    block[i] = radius * Math.cos(angle);
    block[i + 8] = radius * Math.sin(angle);
  }
}
