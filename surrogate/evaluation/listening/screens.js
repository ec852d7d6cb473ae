// The screens: the start, a pair, the end.

const home = document.getElementById("screen");
let clips = []; // those on the screen
let current = null; // the one that the space bar plays

// A sound with its player.
class Clip extends Card {
  constructor(title, index, heard, changed) {
    const seconds = song.seconds[index];
    super(title, { seconds, stems: { band: index } });
    this.heard = heard; // seconds
    this.changed = changed;
    this.was = 0;
    this.needed = Math.min(song.listening, seconds / 2);
    this.build();
    this.show();
  }

  build() {
    this.note = element("span", { class: "heard" });
    this.card = element("section", { class: "take", "aria-label": this.title },
      element("div", { class: "top" }, element("strong", { class: "name" }, this.title), this.note),
      element("div", { class: "controls" }, this.button, this.time), this.slider, this.problem);
  }

  get enough() {
    return this.heard >= this.needed;
  }

  select() {
    current = this;
  }

  // From where it is, or from where the one that plays is.
  play(position = this.player.offset) {
    for (const other of clips) if (other !== this && other.player.state !== "paused") other.player.pause();
    this.select();
    this.player.offset = Math.min(position, this.view.seconds);
    this.attempt(this.player.play());
  }

  show() {
    const { position } = this.player;
    if (this.shown === "playing") this.heard += Math.max(position - this.was, 0);
    this.was = position;
    if (!this.show_player()) return;
    this.note.textContent = this.enough ? "✓ heard" : "";
    this.changed(this);
  }
}

// Puts a screen in place of the one before, whose sounds end and are forgotten.
function show_screen(heading, ...rest) {
  home.replaceChildren(heading, ...rest);
  window.scrollTo(0, 0);
  const title = heading.matches("h2") ? heading : heading.querySelector("h2");
  title.tabIndex = -1;
  title.focus();
}

function leave_clips() {
  for (const clip of clips) if (clip.player.state !== "paused") clip.player.pause();
  sound.decoded.clear();
  clips = [];
  current = null;
}

function button(text, action, kind = "") {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", action);
  return made;
}

function show_start() {
  leave_clips();
  const name = element("input", { type: "text", maxlength: 80, autocomplete: "off", required: "" });
  const start = element("button", { class: "main first" }, "Start");
  const check = () => { start.disabled = !name.value.trim(); };
  name.addEventListener("input", check);
  check();
  const form = element("form", {},
    element("label", { class: "field" }, "Your name or initials", name),
    element("p", { class: "ways" }, start));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (start.disabled) return;
    const session = Session.begin(name.value);
    session.keep();
    show_trial(session);
  });
  const count = Math.min(song.limit, song.pairs.length);
  const length = Math.round(Math.max(...song.seconds));
  const steps = [
    `You will hear ${count === 1 ? "one pair" : `${count} pairs`} of bands. Within a pair, A and B play the same melody, for at most ${length} seconds.`,
    "Listen to both, as often as you like, and go back and forth between them. Then answer: "
      + song.questions.map(([, text]) => text).join(" "),
    "There is no right answer. If you hear no difference, say so.",
    "Use headphones, in a quiet place, and leave the volume as it is once you have set it.",
    "At the end, save your votes to a file, and send that to whoever asked you.",
  ];
  show_screen(element("h2", {}, "Which band is better?"),
    element("ul", {}, ...steps.map((text) => element("li", {}, text))), form);
}

function show_trial(session) {
  leave_clips();
  if (session.at >= session.trials.length) return show_end(session);
  const { a, b, melody } = session.trials[session.at];
  const { answer } = session;
  const [hint, next] = [element("p", { class: "hint", role: "status" }), button("", on, "main")];
  const last = session.at === session.trials.length - 1;
  next.textContent = last ? "Finish" : "Next";
  const fields = song.questions.map(([name, text]) => question(session, name, text, check));
  const comment = element("textarea", { rows: 1, maxlength: 2000 });
  comment.value = answer.comment;
  comment.addEventListener("input", () => { answer.comment = comment.value; session.keep(); });

  function check() {
    const waiting = clips.slice(0, 2).filter((clip) => !clip.enough);
    for (const field of fields) field.disabled = waiting.length > 0;
    next.disabled = waiting.length > 0 || !session.complete;
    const names = waiting.map((clip) => clip.title).join(" and ");
    const text = waiting.length
      ? `Listen to ${names} for at least ${Math.ceil(waiting[0].needed)} seconds first.`
      : session.complete ? "" : "Answer both questions.";
    if (hint.textContent !== text) hint.textContent = text;
  }

  function heard(clip) {
    if (clips.length < 2) return; // they are being made
    const before = [...answer.heard];
    answer.heard = clips.slice(0, 2).map((own) => own.heard);
    if (clip.player.state === "paused" && before.join() !== answer.heard.join()) session.keep();
    check();
  }

  function on() {
    session.at++;
    session.keep();
    show_trial(session);
  }

  const made = [["A", a, answer.heard[0]], ["B", b, answer.heard[1]]];
  if (melody >= 0) made.push(["The melody alone", melody, 0]);
  clips = made.map(([title, index, so_far]) => new Clip(title, index, so_far, heard));
  current = clips[0];
  const rest = clips.slice(2).map((clip) => clip.card);
  for (const card of rest) card.classList.add("alone");
  check();
  const back = button("Back", () => { session.at--; session.keep(); show_trial(session); });
  back.hidden = session.at === 0;
  show_screen(
    element("div", { class: "count" }, element("h2", {}, `Pair ${session.at + 1} of ${session.trials.length}`),
      element("span", {}, session.name)),
    element("progress", { max: session.trials.length, value: session.at, "aria-label": "Pairs done" }),
    element("div", { class: "clips" }, clips[0].card, clips[1].card), ...rest,
    element("div", {}, ...fields),
    element("label", { class: "field" }, "Comment, if you like", comment),
    element("div", { class: "ways" }, back, hint, next), keys());
}

function question(session, name, text, changed) {
  const field = element("fieldset", {}, element("legend", {}, text));
  const scale = field.appendChild(element("div", { class: "scale" }));
  for (const [value, label] of SCALE) {
    const input = element("input", { type: "radio", name, value });
    input.checked = session.answer[name] === value;
    input.addEventListener("change", () => {
      session.answer[name] = value;
      session.keep();
      changed();
    });
    scale.append(element("label", {}, input, label));
  }
  return field;
}

function keys() {
  const text = element("p", { class: "hint keys" });
  const names = [["A", ""], ["B", "hear it from the same place"], ["space", "play or pause"]];
  for (const [key, does] of names) text.append(element("kbd", {}, key), ` ${does} `);
  return text;
}

function show_end(session) {
  leave_clips();
  const text = element("textarea", { class: "text", readonly: "", "aria-label": "Your votes as text" });
  text.value = session.text;
  const said = element("p", { class: "hint", role: "status" });
  const another = button("Another listener", () => { Session.forget(); show_start(); });
  another.disabled = true;
  const kept = (what) => { said.textContent = what; another.disabled = false; };
  const save = button("Save votes", () => {
    const address = URL.createObjectURL(new Blob([session.text], { type: "application/json" }));
    element("a", { href: address, download: session.file }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
    kept(`Saved as ${session.file}, where your browser puts downloads.`);
  }, "main first");
  const copy = button("Copy as text", () => {
    text.select();
    const copied = navigator.clipboard?.writeText(text.value) ?? Promise.reject(new Error());
    copied.catch(() => { if (!document.execCommand("copy")) throw new Error(); })
      .then(() => kept("Copied: paste it into a message."))
      .catch(() => kept("Copy the selected text by hand."));
  });
  const back = button("Back to the last pair", () => { session.at--; session.keep(); show_trial(session); });
  show_screen(element("h2", {}, `Thank you, ${session.name}`),
    element("p", {}, "Save your votes, and send the file to whoever asked you. If saving does not work, copy the text below into a message."),
    element("div", { class: "ways" }, save, copy), said, text,
    element("div", { class: "ways" }, back, another));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !current) return;
  if (event.target.matches("textarea, input[type=text]")) return;
  const wanted = clips["ab".indexOf(event.key.toLowerCase())];
  if (wanted && wanted !== current) wanted.play(current.player.position);
  else if (wanted) wanted.toggle();
  else if (event.key === " " && !event.target.closest("button, input, a")) current.toggle();
  else return;
  event.preventDefault();
});

const resumed = Session.resume();
if (resumed) show_trial(resumed); else show_start();
