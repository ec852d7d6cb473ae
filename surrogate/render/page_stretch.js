// Sound at another tempo and the same pitch.
//
// Frames of the sound overlap, and each is taken from where it best continues the one before: WSOLA
// (Verhelst and Roelands, 1993). Where a note starts, frames are taken from exactly there, and no
// other frame holds that moment; so attacks neither smear nor double, and all parts stay together.

const FRAME = 0.04, SEARCH = 0.01; // seconds
const ATTACK = 0.03, EARLY = 0.003; // seconds after and before a note starts that belong to it
const COARSE = 4; // samples: step of the first search
const AT_ONCE = 250; // frames between which the page can react

const stretched = { speed: 1, sounds: new Map() };

mixer.stretch = (view, role, plain, speed) => {
  if (stretched.speed !== speed) stretched.sounds.clear();
  stretched.speed = speed;
  const index = view.stems[role];
  if (!stretched.sounds.has(index))
    stretched.sounds.set(index, stretch(plain, speed, starts_of(view, role)));
  return stretched.sounds.get(index);
};

// The seconds at which notes of a part start, ascending.
function starts_of(view, role) {
  const tracks = view.tracks.filter((track) => track.role === role);
  const quarters = new Set(tracks.flatMap(({ notes }) => notes.map(([start]) => start)));
  return [...quarters].sort((a, b) => a - b).map((at) => follow(view.clock, 0, 1, at));
}

async function stretch(buffer, speed, starts) {
  const rate = buffer.sampleRate, hop = Math.round((FRAME / 2) * rate);
  const pad = 2 * hop; // of silence, before and after
  const sources = [...Array(buffer.numberOfChannels).keys()].map((channel) => {
    const samples = new Float32Array(buffer.length + 2 * pad + hop);
    samples.set(buffer.getChannelData(channel), pad);
    return samples;
  });
  const length = Math.ceil(buffer.length / speed);
  const results = sources.map(() => new Float32Array(length + 2 * hop));
  const window = Float32Array.from({ length: 2 * hop }, (_, n) =>
    0.5 - 0.5 * Math.cos((Math.PI * (n + 0.5)) / hop));
  const places = new Places(sources, hop, pad, speed, starts.map((at) => at * rate));
  for (let frame = 0; frame * hop < length + hop; frame++) {
    if (frame % AT_ONCE === AT_ONCE - 1) await new Promise((done) => setTimeout(done));
    const from = places.next((frame - 1) * hop);
    sources.forEach((source, channel) => {
      const result = results[channel];
      for (let n = 0; n < 2 * hop; n++) {
        const at = frame * hop + n; // the first hop is before the sound, and dropped
        if (at < result.length) result[at] += window[n] * source[from + n];
      }
    });
  }
  const made = sound.context.createBuffer(sources.length, length, rate);
  results.forEach((result, channel) =>
    made.copyToChannel(result.subarray(hop, hop + length), channel));
  return made;
}

// Where in the sound each frame of the result is taken from, in samples.
class Places {
  constructor(sources, hop, pad, speed, starts) {
    Object.assign(this, { hop, pad, speed, starts });
    this.attack = (ATTACK / FRAME) * 2 * hop;
    this.early = (EARLY / FRAME) * 2 * hop;
    this.reach = Math.round((SEARCH / FRAME) * 2 * hop);
    this.guide = sources[0].map((_, n) => sources.reduce((sum, source) => sum + source[n], 0));
    this.last = this.guide.length - 2 * hop;
    this.before = null; // where the frame before was taken from
    this.start = 0; // index of the first start that is within this frame of the result, or after it
  }

  // The place of the frame that begins at a sample of the result.
  next(begin) {
    const { starts, speed, hop, pad } = this;
    while (this.start < starts.length && starts[this.start] / speed < begin) this.start++;
    const from = this.locked(begin) ?? this.continued(begin);
    this.before = clamp(Math.round(from), -pad, this.last - pad);
    return this.before + pad;
  }

  // For frames in which a note starts: of several notes, the one nearest to the middle counts.
  locked(begin) {
    const { starts, speed, hop } = this;
    const end = begin + 2 * hop + this.early;
    let best = null;
    for (let n = this.start; n < starts.length && starts[n] / speed < end; n++) {
      const off = Math.abs(starts[n] / speed - begin - hop);
      if (best === null || off < best.off) best = { off, from: begin + starts[n] * (1 - 1 / speed) };
    }
    return best && best.from;
  }

  // For the others: as near to where the tempo wants it as holds no start, and continues well.
  continued(begin) {
    const { starts, speed, hop, reach, pad } = this;
    const past = this.start ? starts[this.start - 1] + this.attack : -pad;
    const next = this.start < starts.length ? starts[this.start] : Infinity;
    const high = next - this.early - 2 * hop;
    const low = Math.min(past, high);
    const wanted = clamp((begin + hop) * speed - hop, low, high);
    if (this.before === null) return wanted;
    const natural = this.before + hop;
    if (natural >= low && natural <= high && Math.abs(natural - wanted) < 1) return natural;
    const [from, to] = [Math.max(low, wanted - reach), Math.min(high, wanted + reach)];
    const near = this.best(natural, from, to, COARSE);
    return this.best(natural, Math.max(from, near - COARSE), Math.min(to, near + COARSE), 1);
  }

  // The place from one to another, in steps, whose sound is most like that of the natural place.
  best(natural, from, to, step) {
    const { guide, hop, pad, last } = this;
    const most = (place) => clamp(Math.round(place) + pad, 0, last);
    const model = most(natural);
    let [found, highest] = [from, -Infinity];
    for (let place = from; place <= to; place += step) {
      const own = most(place);
      let [product, energy] = [0, 1e-9];
      for (let n = 0; n < hop; n += step) {
        const sample = guide[own + n];
        product += sample * guide[model + n];
        energy += sample * sample;
      }
      const likeness = product / Math.sqrt(energy);
      if (likeness > highest) [found, highest] = [place, likeness];
    }
    return found;
  }
}
