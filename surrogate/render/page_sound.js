// The sound of the page: the parts of a view, played together.

const song = JSON.parse(document.getElementById("song").textContent);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const sound = { context: null, decoded: new Map() };

// What all players have in common: the parts that are muted, how loud the others are (0 to 1; none:
// 1), and how fast they play. At another speed than 1, `stretch` makes the sound.
const mixer = { muted: new Set(), volume: new Map(), speed: 1, stretch: null };

function decoded(index) {
  if (!sound.decoded.has(index)) {
    const bytes = Uint8Array.from(atob(song.audio[index].data), (c) => c.charCodeAt(0));
    sound.decoded.set(index, sound.context.decodeAudioData(bytes.buffer));
  }
  return sound.decoded.get(index);
}

// Plays the parts of a view together, each through its own gain.
class Player {
  constructor(view, changed) {
    this.view = view;
    this.changed = changed;
    this.offset = 0; // seconds of the song, as it is written
    this.speed = 1;
    this.state = "paused"; // or "waiting" for sounds to be decoded, or "playing"
    this.voices = [];
    this.turn = 0; // counts presses, so that a late answer to an old one does nothing
  }

  get position() {
    if (this.state !== "playing") return this.offset;
    const passed = (sound.context.currentTime - this.started) * this.speed;
    return clamp(this.offset + passed, this.offset, this.view.seconds);
  }

  async play() {
    sound.context ??= new AudioContext();
    const turn = ++this.turn;
    this.state = "waiting";
    this.changed();
    const roles = Object.keys(this.view.stems), { speed } = mixer;
    await sound.context.resume();
    const buffers = await Promise.all(roles.map((role) => this.buffer(role, speed)));
    if (turn !== this.turn) return;
    this.speed = speed;
    if (this.offset >= this.view.seconds - 0.05) this.offset = 0;
    this.started = sound.context.currentTime + 0.03;
    this.voices = roles.map((role, n) => this.voice(role, buffers[n]));
    this.state = "playing";
    this.changed();
  }

  async buffer(role, speed) {
    const plain = await decoded(this.view.stems[role]);
    return speed === 1 ? plain : mixer.stretch(this.view, role, plain, speed);
  }

  voice(role, buffer) {
    const source = sound.context.createBufferSource();
    const gain = sound.context.createGain();
    source.buffer = buffer;
    source.connect(gain).connect(sound.context.destination);
    gain.gain.value = this.gain(role);
    source.start(this.started, Math.min(this.offset / this.speed, buffer.duration));
    return { role, source, gain };
  }

  gain(role) {
    const own = song.audio[this.view.stems[role]].gain;
    // Squared, as loudness is heard: at half way it is about half as loud.
    const volume = (mixer.volume.get(role) ?? 1) ** 2;
    return mixer.muted.has(role) ? 0 : own * song.level * volume;
  }

  pause() {
    this.offset = this.position;
    this.turn++;
    for (const { source } of this.voices) source.stop();
    this.voices = [];
    this.state = "paused";
    this.changed();
  }

  seek(seconds) {
    const goes_on = this.state !== "paused";
    if (goes_on) this.pause();
    this.offset = clamp(seconds, 0, this.view.seconds);
    if (goes_on) return this.play();
    this.changed();
  }

  // To be called when the mixer has changed.
  balance() {
    for (const { role, gain } of this.voices)
      gain.gain.setTargetAtTime(this.gain(role), sound.context.currentTime, 0.01);
    this.changed();
  }
}
