"""sela-nn: SeLa with neighbours, this project's own method and its default.

As in SeLa, training on labels alternates with solving the labels as optimal transport. Four things are added.

1. **Neighbours.** Before the transport step an item's posterior is averaged with those of its nearest neighbours, at first in
   first features, later in the learned ones. Neighbours mostly share a class, so noise averages out, and the first labels of a
   random network already follow the data.
2. **A label-free merit.** A head is judged by the mutual information between an item's label and its neighbour's
   (`assignment.merit`), which ranks heads as accuracy does. The reported head is chosen by the posteriors of items that are many
   neighbours apart: at the end of a random walk the two halves of a class that was cut say nothing about each other.
3. **Exchange** (`exchange`). Heads get stuck with one class split and two merged. Over-clustering heads, merged down to K at the
   lowest loss of that information, propose labellings, and the worst heads take proposals that beat them.
4. **Masses.** Each head relaxes equal sizes by its own strength, from fixed to nearly free, and a head that takes a proposal
   takes its sizes as the target. The merit then chooses the strength; unequal sizes are discounted. At the end masses are
   relaxed further. With `--mass uniform` all stay fixed.

Items with picture and sound have one label: each modality has its encoder and its heads, and an item's posterior is the product
over its modalities. Some of its neighbours are found in each modality, and at the end in the one whose neighbours agree best with
the labels.

Given features are another matter (`candidates`): they get no better in training, so heads start from labellings of several
families, and what is reported is the best of the heads' labels, of those starts and of a consensus. With `clusters` unknown, K is
found before training by the same judge.

Small sets are another matter, too (`small`): a network that has seen few items knows no more than first features do.

First neighbours are found in first features (`views.first`). On a GPU photographs without pretrained features first learn a
pretext (SimCLR). With `clusters` unknown, K is where merging the over-clustering heads starts to cost. The settings for each kind
of data are in `plans`, the choice of the head is in `assignment.merit`.

The class is built up one question a file: `heads` (which heads there are, and what they say), `solving` (how their labels are
solved and exchanged), `first_labels`, `final_labels`, and `method` (phases, loss, label turn).
"""

from selflabel.methods.label.sela_nn.method import SeLaNN
from selflabel.methods.label.sela_nn.plans import Options, label_turns

__all__ = ["Options", "SeLaNN", "label_turns"]
