// Runs the real magenta.js on a model folder: node run.js NODE_MODULES FOLDER < REQUEST > ANSWER
// NODE_MODULES: the folder into which `npm install @magenta/music` put its packages.
// REQUEST: JSON with z, and optionally inputs, lengths (steps of each segment) and controls.
// ANSWER: JSON with rows, the likeliest at each step from z, and mean, the encoding of the inputs.
const fs = require('fs');
const http = require('http');
const path = require('path');

const [modules, folder] = process.argv.slice(2).map((name) => path.resolve(name));
console.log = console.warn = () => {};
const tf = require(path.join(modules, '@tensorflow/tfjs'));
const {MusicVAE} = require(path.join(modules, '@magenta/music/node/music_vae'));
const request = JSON.parse(fs.readFileSync(0));

// magenta.js loads models over HTTP only.
const server = http.createServer((query, reply) => {
  reply.end(fs.readFileSync(path.join(folder, path.basename(query.url))));
});
server.listen(0, 'localhost', async () => {
  await tf.setBackend('cpu');
  const model = new MusicVAE(`http://localhost:${server.address().port}`);
  await model.initialize();
  const controls = request.controls && tf.tensor2d(request.controls);
  const steps = model.dataConverter.numSteps;
  const rows = model.decoder.decode(tf.tensor2d(request.z), steps, undefined, 0, controls);
  let inputs = tf.tensor3d(request.inputs);
  if (controls) {
    const tiled = controls.expandDims(0).tile([inputs.shape[0], 1, 1]);
    inputs = tf.concat([inputs, tiled], 2);
  }
  const mean = model.encoder.encode(inputs, request.lengths);
  const answer = {rows: rows.arraySync(), mean: mean.arraySync()};
  process.stdout.write(JSON.stringify(answer));
  server.close();
});
