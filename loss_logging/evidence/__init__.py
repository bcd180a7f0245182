"""Evidence: which captions are wrong, how sure that is, and what they should say.

    features    pictures -> rows of numbers        `picture_features`, `as_features`, `FEATURES`
    words       captions -> a matrix of words      `caption_words`
    pictures    both -> what each picture says     `picture_evidence` -> `PictureEvidence`
    losses      loss with and without a caption    `LossEvidence`, `pooled`
    dropped     the same from caption dropout      `dropped_evidence`
    odd         images unlike the others           `odd_images`, `near_duplicates`
    judge       all of it -> one verdict           `judge` -> `Judgement`

``p_wrong`` is about the whole caption: that it is another picture's. A caption with one wrong word keeps a low one; for
those there is ``word_score``, a ranking. A caption whose words stand in no other caption is undecided.

``ridge`` and ``planted`` are what ``pictures`` and ``judge`` compute with. Items are rows 0 to N - 1, in one order for
every kind of evidence; who calls knows their names. Needs the extra ``evidence``: scikit-learn, scipy and Pillow.

Example, before any training: 1,000 small pictures, of which the first 100 have the caption of another:

    >>> import numpy as np
    >>> from loss_logging.evidence.features import picture_features
    >>> from loss_logging.evidence.judge import judge
    >>> from loss_logging.evidence.losses import LossEvidence
    >>> from loss_logging.evidence.pictures import picture_evidence
    >>> from loss_logging.evidence.words import caption_words
    >>> rng = np.random.default_rng(0)
    >>> names = ("red", "green", "blue", "black", "white", "yellow")
    >>> colours = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0), (1, 1, 1), (1, 1, 0)])
    >>> shown = rng.integers(6, size=1000)
    >>> said = np.where(np.arange(1000) < 100, (shown + rng.integers(1, 6, size=1000)) % 6, shown)
    >>> pictures = list((colours[shown][:, None, None] + rng.normal(0, 0.1, (1000, 8, 8, 3))).clip(0, 1))
    >>> captions = [f"a {names[each]} square" for each in said]
    >>> read = picture_features(pictures, progress=False)
    >>> seen = picture_evidence(read.features, caption_words(captions), progress=False)
    >>> seen.worst_word[:100] == [names[each] for each in said[:100]]
    True
    >>> seen.suggested_word[:100] == [names[each] for each in shown[:100]]
    True
    >>> found = judge(seen)
    >>> bool(found.score[:100].min() > found.score[100:].max()), 0.05 < found.share < 0.15
    (True, True)

While training, the loss with the caption beside that with the empty one, or with the caption of ``seen.rival``, goes in
as well, with its standard error and the number of records:

    >>> mean = np.where(np.arange(1000) < 100, 0.3, -0.3) + rng.normal(0, 0.1, 1000)
    >>> rival = LossEvidence(mean, n=np.full(1000, 8), error=np.full(1000, 0.1))
    >>> found = judge(seen, rival=rival)
    >>> sorted(found.contributions), found.verdict[:100].count("very likely wrong") > 80, set(found.verdict[100:])
    (['losses', 'pictures', 'share'], True, {'no sign of it'})
"""
