// The sound of the page: the parts of a view, played together.

const song = JSON.parse(document.getElementById("song").textContent);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const sound = { context: null, decoded: new Map() };

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
    this.muted = new Set();
    this.offset = 0;
    this.state = "paused"; // or "waiting" for sounds to be decoded, or "playing"
    this.voices = [];
    this.turn = 0; // counts presses, so that a late answer to an old one does nothing
  }

  get position() {
    if (this.state !== "playing") return this.offset;
    const passed = sound.context.currentTime - this.started;
    return clamp(this.offset + passed, this.offset, this.view.seconds);
  }

  async play() {
    sound.context ??= new AudioContext();
    const turn = ++this.turn;
    this.state = "waiting";
    this.changed();
    const roles = Object.keys(this.view.stems);
    await sound.context.resume();
    const buffers = await Promise.all(roles.map((role) => decoded(this.view.stems[role])));
    if (turn !== this.turn) return;
    if (this.offset >= this.view.seconds - 0.05) this.offset = 0;
    this.started = sound.context.currentTime + 0.03;
    this.voices = roles.map((role, n) => this.voice(role, buffers[n]));
    this.state = "playing";
    this.changed();
  }

  voice(role, buffer) {
    const source = sound.context.createBufferSource();
    const gain = sound.context.createGain();
    source.buffer = buffer;
    source.connect(gain).connect(sound.context.destination);
    gain.gain.value = this.gain(role);
    source.start(this.started, Math.min(this.offset, buffer.duration));
    return { role, source, gain };
  }

  gain(role) {
    const own = song.audio[this.view.stems[role]].gain;
    return this.muted.has(role) ? 0 : own * song.level;
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

  toggle_part(role) {
    if (!this.muted.delete(role)) this.muted.add(role);
    for (const voice of this.voices)
      if (voice.role === role)
        voice.gain.gain.setTargetAtTime(this.gain(role), sound.context.currentTime, 0.01);
    this.changed();
  }
}
