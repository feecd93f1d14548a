"""What a LiteRT model answers: `model.tflite` and `images.npy` beside this file become `scores.npy`."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def main() -> None:
    """Ask the model for one image after another, as a phone would."""
    images = np.load("images.npy", allow_pickle=False).astype(np.float32)
    interpreter = Interpreter(model_path="model.tflite", num_threads=1)
    interpreter.allocate_tensors()
    given, answered = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scores = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(answered["index"])[0])
    np.save("scores.npy", np.asarray(scores, dtype=np.float32))


if __name__ == "__main__":
    main()
