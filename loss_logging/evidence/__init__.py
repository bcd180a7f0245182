"""Evidence: which captions are wrong, how sure that is, and what they should say.

    features    pictures -> rows of numbers        `picture_features`, `as_features`, `FEATURES`
    words       captions -> a matrix of words      `caption_words`
    pictures    both -> what each picture says     `picture_evidence` -> `PictureEvidence`
    losses      loss with and without a caption    `LossEvidence`, `pooled`
    dropped     the same from caption dropout      `dropped_evidence`
    odd         images unlike the others           `odd_images`, `near_duplicates`
    judge       all of it -> one verdict           `judge` -> `Judgement`

``ridge`` and ``planted`` are what ``pictures`` and ``judge`` compute with. Items are rows 0 to N - 1, in one order for
every kind of evidence; who calls knows their names. Needs the extra ``evidence``: scikit-learn, scipy and Pillow.

Example, before any training. 400 small pictures, of which the first 40 have the caption of another:

    >>> import numpy as np
    >>> from loss_logging.evidence.features import picture_features
    >>> from loss_logging.evidence.judge import judge
    >>> from loss_logging.evidence.losses import LossEvidence
    >>> from loss_logging.evidence.pictures import picture_evidence
    >>> from loss_logging.evidence.words import caption_words
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.integers(4, size=400)
    >>> colours = np.eye(4)[kind, :3]
    >>> pictures = list((colours[:, None, None] + rng.normal(0, 0.1, (400, 8, 8, 3))).clip(0, 1))
    >>> captions = [f"a {('red', 'green', 'blue', 'black')[k]} square" for k in kind]
    >>> wrong = (kind[:40] + 1) % 4
    >>> captions[:40] = [f"a {('red', 'green', 'blue', 'black')[k]} square" for k in wrong]
    >>> read = picture_features(pictures, progress=False)
    >>> seen = picture_evidence(read.features, caption_words(captions), progress=False)
    >>> found = judge(seen)
    >>> [found.verdict.index(verdict) for verdict in ("very likely wrong", "no sign of it")]
    [0, 40]
    >>> captions[0], seen.worst_word[0], seen.suggested_word[0], bool(found.p_wrong[0] > 0.8)
    ('a blue square', 'blue', 'green', True)

While training, the loss with the caption beside that with the empty one, or with the caption of ``seen.rival``, goes in
as well, with its standard error and the number of records:

    >>> mean = np.where(np.arange(400) < 40, 0.3, -0.3) + rng.normal(0, 0.1, 400)
    >>> rival = LossEvidence(mean, n=np.full(400, 8), error=np.full(400, 0.1))
    >>> with_losses = judge(seen, rival=rival)
    >>> sorted(with_losses.contributions), with_losses.count("very likely wrong")
    (['losses', 'pictures', 'share'], 40)
"""
