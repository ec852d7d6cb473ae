// Who listens to what in which order, and what was voted; kept by the browser, where it keeps things.

const STORE = `listening-test-${song.id}`;
const FORMAT = "musicvae-torch listening test";
const VERSION = 1;
// Written to the votes: how far A is preferred to B.
const SCALE = [[2, "A, by far"], [1, "A, slightly"], [0, "No difference"], [-1, "B, slightly"], [-2, "B, by far"]];

// FNV-1a of UTF-8.
function seed_of(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

// Numbers of 0 to 1 that follow from a seed: mulberry32.
function random_from(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// The pairs that a listener hears, in order, and which sound of each is A.
function trials_of(seed) {
  const random = random_from(seed);
  const trials = song.pairs.map(([one, other, melody], pair) =>
    random() < 0.5 ? { pair, a: one, b: other, melody } : { pair, a: other, b: one, melody });
  for (let last = trials.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [trials[last], trials[other]] = [trials[other], trials[last]];
  }
  return trials.slice(0, song.limit);
}

class Session {
  constructor(kept) {
    this.name = kept.name;
    this.started = kept.started;
    this.at = kept.at ?? 0; // index of the trial that is shown; beyond the last, the end
    this.answers = kept.answers ?? [];
    this.seed = seed_of(`${song.id}/${this.name}`);
    this.trials = trials_of(this.seed);
  }

  static begin(name) {
    const plain = name.normalize("NFC").trim().replace(/\s+/gu, " ");
    return new Session({ name: plain, started: new Date().toISOString() });
  }

  // What a reload has left; null, if there is nothing, or the browser keeps nothing.
  static resume() {
    try {
      const kept = JSON.parse(localStorage.getItem(STORE));
      return kept && typeof kept.name === "string" ? new Session(kept) : null;
    } catch {
      return null;
    }
  }

  static forget() {
    try {
      localStorage.removeItem(STORE);
    } catch { /* then there is nothing to forget */ }
  }

  keep() {
    const { name, started, at, answers } = this;
    try {
      localStorage.setItem(STORE, JSON.stringify({ name, started, at, answers }));
    } catch { /* a reload starts over */ }
  }

  // Of the trial that is shown; seconds for which A and B were heard are in it from the start.
  get answer() {
    return (this.answers[this.at] ??= { heard: [0, 0], comment: "" });
  }

  get complete() {
    return song.questions.every(([name]) => name in this.answer);
  }

  get votes() {
    const votes = this.trials.map(({ a, b }, n) => {
      const { heard, comment, ...given } = this.answers[n];
      const seconds = heard.map((time) => Math.round(time * 10) / 10);
      return { a, b, ...given, comment: comment.trim(), heard: seconds };
    });
    const { name: listener, seed, started } = this;
    const test = { id: song.id, key: song.key };
    return { format: FORMAT, version: VERSION, test, listener, seed, started, finished: this.finished, votes };
  }

  // One vote a line, to be read by people, too.
  get text() {
    this.finished ??= new Date().toISOString();
    const { votes, ...head } = this.votes;
    const lines = votes.map((vote) => `  ${JSON.stringify(vote)}`).join(",\n");
    return `${JSON.stringify(head).slice(0, -1)},"votes":[\n${lines}\n]}\n`;
  }

  get file() {
    const name = this.name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
    return `votes-${name.slice(0, 60) || "listener"}.json`;
  }
}
