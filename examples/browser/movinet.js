// Runs a stream model in a browser with onnxruntime-web: one frame in, the logits of all classes out.
//
// The file is one that `movinet-lite export a0.onnx --model a0` wrote. Its states are inputs, and outputs whose names begin
// with "next/"; docs/onnx.md describes them.

export class MovinetStream {
  // ort: the module of onnxruntime-web; source: the address of the .onnx file, or its bytes.
  static async load(ort, source, options = {}) {
    return new MovinetStream(ort, await ort.InferenceSession.create(source, options));
  }

  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
    this.shapes = Object.fromEntries(
      session.inputMetadata.map(({ name, type, shape }) => [
        name,
        { type, dims: shape.map((size) => (typeof size === "number" ? size : 1)) },
      ]),
    );
    [, this.height, this.width] = this.shapes.image.dims;
    this.reset();
  }

  // Begin another video.
  reset() {
    this.states = {};
    for (const [name, { type, dims }] of Object.entries(this.shapes)) {
      if (name === "image") continue;
      const size = dims.reduce((product, length) => product * length, 1);
      const values = type === "int32" ? new Int32Array(size) : new Float32Array(size);
      this.states[name] = new this.ort.Tensor(type, values, dims);
    }
  }

  // pixels: a Float32Array of height * width * 3 numbers from 0 to 1, RGB, row by row. Returns the logits.
  async step(pixels) {
    const image = new this.ort.Tensor("float32", pixels, this.shapes.image.dims);
    const outputs = await this.session.run({ image, ...this.states });
    for (const name of Object.keys(this.states)) {
      this.states[name] = outputs[`next/${name}`];
    }
    return outputs.logits.data;
  }

  // The pixels of a canvas of the model's size, as `step` takes them.
  pixelsOf(context) {
    const { data } = context.getImageData(0, 0, this.width, this.height);
    const pixels = new Float32Array(this.height * this.width * 3);
    for (let from = 0, to = 0; from < data.length; from += 4) {
      pixels[to++] = data[from] / 255;
      pixels[to++] = data[from + 1] / 255;
      pixels[to++] = data[from + 2] / 255;
    }
    return pixels;
  }
}

export function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
