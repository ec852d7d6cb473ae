"""One operation of Magenta's MusicVAE, timed: run by a Python that has Magenta, by speed.py.

    PYTHON magenta_speed.py CONFIG CHECKPOINT OPERATION BATCH REPEATS STARTED

Prints, as JSON, the seconds of each repeat, those from STARTED (time.time()) to the first result,
and the peak of memory in MiB.
"""

import json
import sys
import time
from pathlib import Path


def main() -> None:
    name, checkpoint, operation, batch, repeats, started = sys.argv[1:]
    import numpy as np
    from magenta.models.music_vae import configs
    from magenta.models.music_vae.trained_model import TrainedModel

    model = TrainedModel(configs.CONFIG_MAP[name], int(batch), checkpoint)
    rng = np.random.RandomState(0)
    hparams = configs.CONFIG_MAP[name].hparams
    steps = hparams.max_seq_len
    windows = []
    for _ in range(int(batch)):
        parts = [np.eye(d, dtype=bool)[rng.randint(0, d, steps)] for d in (90, 90, 512)]
        windows.append(np.concatenate(parts, axis=1))
    latents = rng.standard_normal((int(batch), hparams.z_size)).astype(np.float32)

    def run() -> None:
        if operation == "encode":
            nothing = [np.zeros((steps, 0), np.float32)] * int(batch)
            model.encode_tensors(list(windows), [steps] * int(batch), nothing)
        else:
            model.decode_to_tensors(latents, length=steps, temperature=0.5)

    run()
    first = time.time() - float(started)
    times = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(json.dumps({"seconds": times, "first": first, "peak": peak}))


if __name__ == "__main__":
    main()
