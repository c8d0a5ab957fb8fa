import numpy as np
from PIL import Image, ImageDraw

from selflabel.evaluation.sheet import LABEL_PX, STEP_PX, contact_sheet, fit_text


def test_the_contact_sheet_has_a_row_a_cluster_with_its_most_confident_items_first():
    labels, confidence = np.array([0, 0, 1]), np.array([0.2, 0.9, 0.5])
    pictures = [np.full((8, 8), v, np.uint8) for v in (10, 120, 240)]
    sheet = np.asarray(contact_sheet(labels, confidence, lambda i: pictures[i], across=2))
    assert sheet[20, 80, 0] == 120 and sheet[20, 130, 0] == 10 and sheet[70, 80, 0] == 240


def test_rejected_items_and_the_smallest_of_many_clusters_are_left_out():
    labels = np.concatenate([np.repeat(np.arange(61), 2), [61, -1]])
    asked = []

    def picture(row):
        asked.append(row)
        return np.zeros((4, 4, 3), np.uint8)

    sheet = contact_sheet(labels, np.ones(len(labels)), picture, across=1)
    assert sheet.size == (LABEL_PX + STEP_PX, 60 * STEP_PX + 2)
    assert set(labels[asked]) < set(range(61)) and len(asked) == 60


def test_a_long_name_is_cut_to_the_room_that_there_is():
    draw = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    assert fit_text(draw, "cats") == "cats"
    short = fit_text(draw, "a very long name of a cluster")
    assert short.startswith("a v") and short.endswith("...") and draw.textlength(short) <= LABEL_PX - 6


def test_a_name_that_the_font_cannot_show_is_drawn_with_question_marks():
    class OldFont:
        def textlength(self, text):
            text.encode("latin-1")
            return len(text)

    assert fit_text(OldFont(), "é日") == "é?"
