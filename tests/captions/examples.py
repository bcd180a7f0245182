"""Captions that nobody may object to, and captions that somebody must."""

from __future__ import annotations

GOOD = [
    # the words that a substring search for null words trips over
    "a banana on a plate",
    "a nullah after the rain",
    "a nun and a nanny in Nancy",
    "a nonet on stage",
    "a protest in front of the town hall",
    "a test tube in a rack",
    "none of the three dogs looks at the camera",
    "an unknown soldier's grave",
    "a person with a caption board",
    # photo captions
    "A group of men are loading cotton onto a truck",
    "two cats , one black and one white , asleep on a sofa .",
    "Eine Gruppe von Männern lädt Baumwolle auf einen Lastwagen",
    "Un homme dormant dans une chambre verte sur un canapé.",
    "Una mujer con sombrero rojo pasea por la playa al atardecer",
    "Muž spí na gauči v zeleném pokoji.",
    "Рыжая кошка спит на подоконнике, за окном идёт снег",
    "Một con mèo đen đang ngủ trên ghế sofa màu xanh",
    "قطة سوداء تنام على أريكة زرقاء",
    "חתול שחור ישן על ספה כחולה",
    "नीले सोफ़े पर एक काली बिल्ली सो रही है और खिड़की के बाहर बारिश हो रही है",
    "一只黑猫睡在蓝色的沙发上",
    "窗外下着雪,一个穿红色外套的小女孩站在门口看着她的狗",
    "青いソファの上で黒猫が眠っています。窓の外では雪が降っています。",
    "파란 소파 위에서 검은 고양이가 자고 있다",
    "แมวดำตัวหนึ่งนอนหลับอยู่บนโซฟาสีน้ำเงินข้างหน้าต่าง",
    "ឆ្មាខ្មៅមួយក្បាលដេកលើសាឡុងពណ៌ខៀវ",
    # tag lists
    "1girl, solo, long hair, blue hair, blue eyes, blue dress, long sleeves, blue sky, blue ribbon, hair ribbon",
    "1girl, solo, ^_^, :3, <o>_<o>, \\m/, saber \\(fate\\), @_@, |_|, +_+, ..., !?",
    "masterpiece, best quality, 1boy, hat, hat ribbon, hat flower, white hat, black hat, hat removed",
    "1girl solo long_hair blue_eyes looking_at_viewer school_uniform",
    "red car, red house, red sky, red tree, red dog, red cat",
    "赤い車、赤い家、赤い空、赤い木",
    # titles and names
    "Mona Lisa",
    "The Starry Night",
    "New York, New York",
    "Tora! Tora! Tora!",
    "Duran Duran",
    "a very, very, very big dog",
    # trigger words
    "sks",
    "photo of <s0><s1> dog",
    "a <my-cat> in the snow",
    "猫",
    "🐱",
    # a long caption as a language model writes it
    "The image shows a quiet harbour at dawn. Three fishing boats lie at the left of the pier, their hulls painted in "
    "faded blue and red. On the right an old man in a yellow raincoat mends a net; beside him sit two crates of fish "
    "and a sleeping dog. Low fog hangs over the water and hides the far shore, so that the lighthouse seems to float. "
    "The light is soft and comes from behind the boats. The colours are muted, with the raincoat as the only accent.",
    "この画像には、夜明けの静かな港が写っています。左側には三隻の漁船が並び、船体は色あせた青と赤に塗られています。"
    "右側では黄色いレインコートを着た老人が網を繕い、その隣には魚の箱が二つと眠っている犬がいます。"
    "水面には霧が低く漂い、向こう岸を隠しているため、灯台が浮かんでいるように見えます。光は柔らかく、色は控えめです。",
    "图片展示了黎明时分宁静的港口。三艘渔船停在码头左侧,船身漆成褪色的蓝色和红色。右边一位穿黄色雨衣的老人正在补网,"
    "旁边放着两箱鱼,还有一只熟睡的狗。水面上低垂着薄雾,遮住了对岸,灯塔仿佛漂浮在空中。光线柔和,色彩低调。",
    "ภาพนี้แสดงท่าเรือที่เงียบสงบในยามรุ่งสาง เรือประมงสามลำจอดอยู่ทางซ้ายของสะพาน ตัวเรือทาสีน้ำเงินและแดงที่ซีดจาง "
    "ทางขวามีชายชราสวมเสื้อกันฝนสีเหลืองกำลังซ่อมแห ข้างเขามีลังปลาสองลังและสุนัขที่กำลังหลับ "
    "หมอกบาง ๆ ลอยอยู่เหนือน้ำและบดบังชายฝั่งอีกด้าน ทำให้ประภาคารดูเหมือนลอยอยู่ แสงนุ่มนวลส่องมาจากด้านหลังเรือ",
    "यह चित्र भोर के समय एक शांत बंदरगाह दिखाता है। बाईं ओर मछली पकड़ने वाली तीन नावें खड़ी हैं, जिन पर फीका नीला और लाल रंग है। "
    "दाईं ओर पीली बरसाती पहने एक बूढ़ा आदमी जाल ठीक कर रहा है; उसके पास मछलियों की दो पेटियाँ और एक सोता हुआ कुत्ता है। "
    "पानी के ऊपर हल्का कोहरा छाया है और दूसरा किनारा छिपा हुआ है, इसलिए प्रकाशस्तंभ तैरता हुआ लगता है।",
    # punctuation that looks like code
    "a sign that reads [EXIT] in C# and #1 font, 50% off & more",
    "a chalkboard with x < y > z and 3 | 4",
]

BAD = [
    *((text, "empty") for text in ["", "   \n\t", "\u200b", "...", "-", "?!", "none", "None", "NULL", " nan ", "NaN"]),
    *((text, "empty") for text in ["N/A", "n.a.", "<NA>", "[none]", '"null"', "todo", "TODO:", "Untitled", "test."]),
    ("No  caption", "empty"),
    *((f"a photo of a dog {token} in the snow", "suspicious") for token in ["<unk>", "<|endoftext|>", "###", "</s>"]),
    *((f"{token} a photo of a dog", "suspicious") for token in ["[INST]", "[UNK]", "<<SYS>>", "<pad>", "<image>"]),
    *((f"a photo of a dog{character} in snow", "encoding") for character in ["\ufffd", "\x00", "\x1b", "\x85"]),
    ("a caf\\ud83d in the snow", "encoding"),
    ("a caf\ud83d in the snow", "encoding"),
    ("a caf\\u00e9 in the snow", "encoding"),
    ("\ufeffa café in the snow", "encoding"),
    ("a photo of a cat cat cat cat cat", "repeated"),
    ("a cat on a sofa a cat on a sofa", "repeated"),
    ("A cat sleeps on a sofa. A cat sleeps on a sofa.", "repeated"),
    ("a dog and a dog and a dog and a dog and a dog", "repeated"),
    ("a woman in a red dress. " + "she is smiling at the camera and " * 9, "repeated"),
    ("Three fishing boats lie at the pier in the morning fog. " * 2, "repeated"),
    ("一只猫和一只猫和一只猫和一只猫和一只猫和一只猫", "repeated"),
    ("แมวนั่งบนโซฟา" * 20, "repeated"),
    ("1girl, solo, 1girl, solo, 1girl, solo, 1girl, solo", "repeated"),
    ("a photo of a dooooooooooooooooog", "repeated"),
    (" ".join(f"word{i}" for i in range(381)), "long"),
    ("".join(chr(0x4E00 + i) for i in range(900)), "long"),
    ("I'm sorry, but I can't assist with that request.", "refusal"),
    ("抱歉,我无法描述这张图片。", "refusal"),
    ("Sure! Here is a caption for the image: a cat on a sofa.", "preamble"),
    ("a cat on a &quot;sofa&quot;", "markup"),
    ("IMG_20230412_101530.jpg", "markup"),
    ("a photo of [trigger] in the snow", "template"),
    ("a cat, <lora:cats:0.8>", "template"),
    ("1girl, solo, 2girls, long hair, smile", "tags"),
    ("a cafÃ© in the snow", "encoding"),
]
