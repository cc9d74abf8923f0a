"""Writes paragraphs of facts with questions and answers, from the templates in facts.txt.

In every group one way to say the fact, and for every slot one way to ask for it, are kept for the test:
test paragraphs and questions use those alone.
"""

import random
import re
from pathlib import Path

FIRST = """Anna Ben Carla David Emma Felix Grace Henry Ida James Kate Leo Maria Nina Oscar Paula Quentin Rosa Samuel Tina Victor Wendy Tom Lucy Jack Mia
Peter Sara Paul Laura Mark Julia George Helen Robert Alice William Clara Frank Ruth Arthur Edith Walter Irene Hugo Lena Max Sofia Adam Eva Daniel Nora
Simon Olga Martin Vera Philip Judith Edward Diana Thomas Karen Michael Susan Richard Linda Charles Sandra Albert Marie Isaac Ada Alan Rosalind Ali Fatima
Chen Yuki Raj Priya Omar Leila Juan Elena Pierre Chloe Ivan Olena Lars Ingrid""".split()
LAST = """Smith Brown Miller Baker Carter Fisher Green Hill King Lee Moore Nelson Owens Parker Reed Scott Taylor Walker Young Adams Bennett Clark Dixon Evans
Foster Gray Harris Irving Jones Kelly Lewis Morgan Newton Olsen Price Rossi Stone Turner Weber Wright Fleming Curie Lovelace Turing Darwin Franklin Tanaka
Kumar Haddad Garcia Dubois Petrov Larsen Novak Silva Costa Meyer Schmidt Ferrari Kowalski Nguyen Okafor Mensah""".split()
CITIES = """London Paris Berlin Rome Madrid Vienna Prague Warsaw Dublin Oslo Lisbon Athens Cairo Boston Chicago Denver Seattle Toronto Sydney Tokyo Delhi Lima
Hamburg Munich Milan Naples Geneva Zurich Lyon Porto Krakow Bergen Leeds Bristol York Oxford Cambridge Dallas Austin Portland Kyoto Osaka Mumbai Nairobi
Accra Lagos Quito Bogota Havana Amsterdam Brussels Copenhagen Stockholm Helsinki Budapest""".split()
COUNTRIES = """France Germany Italy Spain Portugal Austria Poland Norway Sweden Finland Denmark Ireland Greece Egypt Kenya Ghana Nigeria India China Japan
Nepal Peru Chile Brazil Canada Mexico Cuba Turkey Iceland Hungary Romania Australia Switzerland Belgium Morocco Vietnam Thailand Argentina Bolivia""".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
COLORS = "red blue green yellow white black brown grey orange purple pink golden silver dark light".split()
SMALL = "two three four five six seven eight nine ten eleven twelve".split()
SYLLABLES = "ba be bo ca co da de do fa fe ga go ha he jo ka ke ko la le li lo ma me mi mo na ne no pa pe po ra re ri ro sa se so ta te to va ve vi wa wi za zo bel dor fin gar hol kel lan mar nor pel ran sel tar ven wil".split()
ENDINGS = "n r l s th nd ck ton burg ville ford ia a o y ham mont field".split()


def invented(r):
    return ("".join(r.choice(SYLLABLES) for _ in range(r.randint(1, 3))) + r.choice(ENDINGS)).capitalize()


def person(r):
    p = r.random()
    first = r.choice(FIRST) if p < 0.85 else invented(r)
    last = r.choice(LAST) if r.random() < 0.65 else invented(r)
    return ("Doctor " if p < 0.04 else "") + f"{first} {last}"


def number(r):
    return r.choice((str(r.randint(2, 999)), f"{r.randint(1, 999)},{r.randint(0, 999):03d}", f"{r.randint(2, 90)} million", f"{r.randint(2, 90) * 1000}"))


def pick(words, separator="|"):
    words = [w.strip() for w in words.replace("\n", separator).split(separator)]
    return lambda r: r.choice(words)


def title(r):
    adjective = r.choice("Silent Golden Last Long Dark Little Blue Lost Secret Broken Hidden First White Distant Burning".split())
    noun = r.choice("River Garden House Night Road Island Winter Mirror Forest City Letter Key Storm Bird Sea Star Window".split())
    return r.choice((f"The {adjective} {noun}", f"{adjective} {noun}", f"The {noun} of {invented(r)}", f"A {noun} in {r.choice(MONTHS)}", f"The {noun} and the {r.choice(['Moon', 'Sun', 'King', 'Child', 'Wolf'])}"))


def clock(r):
    return r.choice((f"{r.randint(1, 12)}:{r.choice(['00', '15', '30', '45'])}", f"{r.randint(1, 12)} o'clock", f"half past {r.choice(SMALL)}", f"{r.randint(1, 12)} {r.choice(['am', 'pm'])}"))


def hours(r):
    return r.choice((f"from {r.randint(7, 11)} to {r.randint(4, 9)}", f"from {r.choice(DAYS)} to {r.choice(DAYS)}", f"every {r.choice(DAYS)}", f"daily until {r.randint(5, 9)} pm"))


def place_name(known):
    return lambda r: r.choice(known) if r.random() < 0.6 else invented(r)


def named(kinds):
    kinds = kinds.split("|")
    return lambda r: f"{invented(r) if r.random() < 0.7 else r.choice(CITIES)} {r.choice(kinds)}"


ANIMALS = "lion|tiger|brown bear|polar bear|wolf|red fox|grey owl|sea eagle|blue whale|dolphin|green turtle|giant panda|koala|camel|zebra|elephant|hippo|snow leopard|wild goat|otter|beaver|badger|mole|bat|penguin|seal|crab|salmon|shark|frog|lizard|snake|crocodile|parrot|stork|swan|moose|reindeer|yak|lynx"

SLOTS = {
    "person": person, "person2": person, "teacher": lambda r: f"{r.choice(['Mr', 'Mrs', 'Miss', 'Ms'])} {r.choice(LAST) if r.random() < 0.6 else invented(r)}",
    "name": lambda r: r.choice(FIRST) if r.random() < 0.8 else invented(r), "finder": lambda r: r.choice(FIRST) if r.random() < 0.6 else r.choice(["a policeman", "a little girl", "the neighbour", "an old man", "her brother", "the bus driver", "a tourist"]),
    "companion": lambda r: r.choice((r.choice(FIRST), "a friend", "his sister", "her brother", "two cousins", f"{r.choice(FIRST)} and {r.choice(FIRST)}", "the whole class", "her mother")),
    "city": place_name(CITIES), "city2": place_name(CITIES), "country": place_name(COUNTRIES), "port": place_name(CITIES), "river": place_name("Danube Rhine Nile Seine Thames Loire Elbe Ganges Volga Ebro Tiber Hudson".split()),
    "language": place_name("French German Spanish Italian Polish Arabic Hindi Swahili Greek Turkish Norwegian English Portuguese Dutch".split()),
    "year": lambda r: str(r.randint(1500, 2025)), "number": number, "count": lambda r: r.choice(SMALL) if r.random() < 0.6 else str(r.randint(2, 60)),
    "meters": lambda r: f"{r.randint(1, 8)},{r.randint(0, 999):03d}" if r.random() < 0.4 else str(r.randint(20, 900)), "height": lambda r: r.choice((str(r.randint(1, 60)), r.choice(SMALL), f"{r.randint(1, 9)}.{r.randint(1, 9)}")),
    "years": lambda r: str(r.randint(3, 150)), "days": lambda r: str(r.randint(10, 4000)), "minutes": lambda r: r.choice((str(r.randint(5, 90)), r.choice(SMALL))), "moons": lambda r: r.choice((r.choice(SMALL), str(r.randint(2, 40)))),
    "degrees": lambda r: str(r.randint(2, 40)), "kilometers": lambda r: r.choice((str(r.randint(20, 990)), f"{r.randint(1, 6)},{r.randint(0, 999):03d}")),
    "money": lambda r: r.choice((f"{r.randint(2, 90)} {r.choice(['dollars', 'euros', 'pounds'])}", f"{r.choice(SMALL)} {r.choice(['dollars', 'euros', 'pounds'])}", f"${r.randint(1, 99)}.{r.randint(10, 99)}")),
    "month": lambda r: r.choice(MONTHS), "weekday": lambda r: r.choice(DAYS), "clock": clock, "hours": hours, "color": lambda r: r.choice(COLORS), "title": title,
    "job": pick("a doctor|a nurse|a teacher|a baker|a farmer|a pilot|a lawyer|an engineer|a cook|a painter|a writer|a librarian|a gardener|a carpenter|a judge|a driver|a plumber|an architect|a dentist|a singer|a tailor|a firefighter|a waiter|a photographer|a biologist|a journalist"),
    "place": lambda r: r.choice((f"a hospital in {r.choice(CITIES)}", "a small office", f"the port of {invented(r)}", r.choice(CITIES), invented(r), f"a cave near {invented(r)}", f"the north of {r.choice(COUNTRIES)}", f"a village near {r.choice(CITIES)}", "the old town", "a big factory", "a valley in the mountains")),
    "place2": pick("at the station|in the park|on the bus|at school|near the bridge|in the library|at the beach|in the forest|on the train|in a cafe|behind the house|at the market|by the lake|in the garden|under a bench"),
    "device": pick("the steam pump|the telephone|the sewing machine|the light bulb|the printing press|the electric motor|the bicycle|the radio|the microscope|the telescope|the washing machine|the airplane|the zipper|the ballpoint pen|the battery|the elevator|the compass|the typewriter|the camera|the refrigerator|the pocket watch|the thermometer"),
    "company": lambda r: f"{invented(r)}{r.choice(['', ' Works', ' Foods', ' Motors', ' Systems', ' Brothers', ' Limited', ' and Sons'])}",
    "product": pick("chairs|bicycles|computers|shoes|glass bottles|medicine|cheese|chocolate|solar panels|toys|paper|watches|engines|furniture|carpets|bread|software|batteries|trains|lamps|umbrellas|garden tools|pianos|tractors|soap"),
    "building": named("Tower|Cathedral|Bridge|Palace|Theatre|Castle|Library|Station|Hall"), "museum": named("Museum|Gallery|House|Collection"), "school": lambda r: r.choice((f"University of {r.choice(CITIES)}", f"{invented(r)} College", f"{r.choice(CITIES)} Academy", f"School of {invented(r)}")),
    "festival": named("Festival|Fair|Marathon|Carnival|Market|Concert"), "event": pick("meeting|concert|yoga class|book club|dance course|school play|chess evening|cooking class|football practice|art workshop|lecture|party|town meeting|film night|piano lesson|choir practice"),
    "room": lambda r: r.choice((f"room {r.randint(1, 400)}", "the main hall", "the library", "the gym", "the school garden", f"building {r.choice('ABCDEF')}", "the town hall", "the cafeteria", "the music room", "the church")),
    "animal": lambda r: r.choice(ANIMALS.split("|")) if r.random() < 0.8 else f"{invented(r).lower()} {r.choice(['bird', 'deer', 'monkey', 'fish', 'beetle'])}",
    "food": pick("small fish|grass and leaves|insects|fruit and nuts|mice|seeds|bamboo|roots and berries|plankton|worms|eggs and small birds|bark|ants|seaweed|honey|crabs and shells|frogs"),
    "habitat": pick("dense forests|the high mountains|the open sea|dry deserts|rivers and lakes|warm rain forests|wide grasslands|the cold north|caves|swamps|coral reefs|rocky coasts|old trees|the Arctic|meadows and fields|southern Africa|Central Asia"),
    "goods": pick("apples|books|eggs|pencils|oranges|candles|roses|stamps|lemons|bottles of milk|loaves of bread|postcards|balloons|socks|bananas|notebooks|cups|tickets|plates|carrots"),
    "shop": pick("market|corner shop|supermarket|bakery|station|department store|flower shop|bookshop|farm|post office|street fair|mall"), "vehicle": pick("train|bus|car|plane|ship|bike|ferry|taxi|boat|tram"),
    "animalpet": pick("cat|dog|rabbit|parrot|hamster|pony|goldfish|turtle|guinea pig|canary|lizard|mouse"), "petname": lambda r: r.choice("Rex Bella Coco Luna Max Felix Daisy Rocky Minka Snowy Bubbles Charlie Spot Ginger Shadow".split()) if r.random() < 0.6 else invented(r),
    "team2": lambda r: invented(r), "team": lambda r: r.choice((f"{r.choice(CITIES)} United", f"FC {invented(r)}", f"the {r.choice('Lions Tigers Eagles Sharks Bears Wolves Rockets Giants'.split())}", r.choice(CITIES))), "score": lambda r: r.choice((f"{r.randint(1, 6)}-{r.randint(0, 5)}", f"{r.randint(1, 6)} to {r.randint(0, 5)}", f"{r.randint(50, 120)}-{r.randint(40, 110)}")),
    "mountain": lambda r: r.choice((f"Mount {invented(r)}", f"{invented(r)} Peak", f"the {invented(r)}horn")), "sea": lambda r: r.choice(("Black Sea", "Baltic Sea", "North Sea", "Atlantic Ocean", "Pacific Ocean", "Indian Ocean", f"{invented(r)} Sea", "Red Sea", "Gulf of " + invented(r))),
    "subject": pick("history|physics|music|biology|law|chemistry|medicine|geography|mathematics|art|philosophy|English|economics|astronomy|computer science|literature|engineering|Latin"),
    "prize": lambda r: f"{invented(r)} {r.choice(['Prize', 'Award', 'Medal', 'Cup', 'Trophy'])}", "work": pick("a study of bees|a new kind of glass|her work on stars|a book about peace|research on malaria|a series of photographs|a film about the sea|the design of a bridge|his poems|a cheap water filter|helping refugees|a faster engine|a map of the ocean floor"),
    "object": pick("old ships|a dinosaur skeleton|roman coins|modern paintings|a moon rock|ancient maps|steam engines|musical instruments|glass from many countries|a large whale|old toys|royal crowns|medieval swords|egyptian mummies"),
    "planet": invented, "dish": pick("potato soup|apple pie|rice pudding|tomato sauce|pancakes|vegetable stew|lemon cake|bean salad|pumpkin bread|fish curry|noodle soup|cheese omelette"),
    "ingredient": pick("flour|butter|potatoes|onions|rice|milk|apples|beans|tomatoes|fish|noodles|lentils"), "ingredient2": pick("eggs|cream|sugar|garlic|cheese|lemon juice|carrots|honey|coconut milk|mushrooms|spinach|nuts"),
    "thing": pick("an old gold mine|a new species of frog|a roman temple|a huge diamond|the bones of a mammoth|a hot spring|a lost city|an unknown manuscript|an ancient tomb|a rare orchid|a sunken ship|cave paintings|a large oil field|a meteorite"),
    "item": pick("a blue scarf|a wallet|a silver ring|an umbrella|a school bag|a phone|a camera|a black hat|a set of keys|a passport|a wooden flute|a pair of glasses|a notebook"),
    "weather": pick("sunny|rainy|cloudy|windy|foggy|stormy|snowy|warm and dry|cold and wet|icy"), "ship": lambda r: r.choice((f"Queen {r.choice(FIRST)}", invented(r), f"{r.choice(['Sea', 'Morning', 'Northern', 'Golden'])} {r.choice(['Star', 'Gull', 'Hope', 'Wind'])}")),
    "cargo": pick("tea and spices|coal|cotton|sugar|timber|iron|wheat|coffee|salt|silk|bananas|cars|wool|oil|marble"), "plant": lambda r: f"{invented(r).lower()} {r.choice(['lily', 'rose', 'palm', 'grass', 'orchid', 'fern', 'bush', 'tree'])}",
    "reason": pick("a new job|the cold weather|her family|high rents|love|the good schools|a long illness|the war|the noise|his studies|the sea air"),
}

FILLERS = """The weather was fine that day.|Many people do not know this.|Nobody was surprised.|There are many stories about this.|It is a well known fact.|Local papers wrote about it.
Children learn about this at school.|Some details are still unknown.|It was a busy time.|The area is quiet in winter.|Everyone was very happy.|The news spread quickly.|Old photographs show the place.|Later everything changed.
Visitors like the friendly people.|This was not always easy.|A small sign tells the story.|The food there is excellent.|Most of it is still there today.|Experts agree on this point.|That was a surprise to all.|It rained for most of the week.""".replace("\n", "|").split("|")
ASIDES = ("", "", "", "", "", "", "It is said that ", "As we know, ", "According to the records, ", "In fact, ", "Today we know that ")


def pronoun(r, sentence, values):
    """Begin a sentence that begins with the name of its subject with a pronoun instead, sometimes."""
    for slot, pronouns in (("person", ("He", "She")), ("name", ("He", "She")), ("company", ("It",)), ("city", ("It",))):
        if slot in values and sentence.startswith(values[slot] + " ") and r.random() < 0.7:
            return r.choice(pronouns) + sentence[len(values[slot]):]
    return sentence


SYNONYMS = """founded=started=set up=established=created|wrote=penned=is the author of|built=constructed=made=erected|lives=resides=has its home|bought=purchased=got=picked out|makes=produces=manufactures=builds=turns out
works as=is employed as=earns a living as|invented=devised=came up with=first built|discovered=found=came across=came upon|won=got=received=took home|famous=well known=celebrated|main=chief=most important
city=town|book=novel=work|job=profession=occupation|people=persons=inhabitants=men and women|workers=employees=staff|tall=high|high=tall|begins=starts=opens|starts=begins=gets going|held=put on=organised
travelled=went=journeyed=drove|trip=journey=visit|moved=relocated|left=departed from=quit|lost=mislaid|beat=defeated=overcame|studied=learned=read|finished=completed=ended|opened=was opened
eats=feeds on=consumes|called=named=known as|visitors=guests=people|takes place=is held=happens=goes on|made=created=produced|carried=transported=had on board|teaches=gives lessons in|picked up=found=collected
weather=conditions|paid=spent=gave|cost=came to|near=close to|because of=due to=on account of=owing to|speak=talk=use|flows=runs=passes|designed=planned=drew up|climbed=conquered=scaled|married=wed|children=kids=sons and daughters
hangs=is shown=can be seen|painted=created=finished|open=accessible|mix=combine=stir|grows=is found=occurs|sells=trades in=offers|company=firm=business=enterprise|match=game=contest|large=big=great|reached=got to|years=years of age""".replace("\n", "|").split("|")
SYNONYMS = {words[0]: words for words in (line.split("=") for line in SYNONYMS)}
SYNONYM = re.compile(r"(?<![{\w])(" + "|".join(sorted(SYNONYMS, key=len, reverse=True)) + r")(?![}\w])")


def reworded(r, template):
    """Put other words of the same meaning into a template, in training only."""
    return SYNONYM.sub(lambda m: r.choice(SYNONYMS[m[1]]) if r.random() < 0.35 else m[1], template)


def stated(slot, question):
    """Turn a question into the plainest statement that answers it: "Who wrote {title}?" -> "{person} wrote {title}."; or None."""
    if m := re.match(r"What (?:is|was) (the [^?]+)\?$", question):
        return f"{m[1].capitalize() if '{' not in m[1] else m[1][0].upper() + m[1][1:]} is {{{slot}}}."
    if m := re.match(r"(?:Who|Which [a-z]+) ((?!did|do|does|will|has|have|can|is|was|are|must)[a-z]+ [^?]+)\?$", question):
        return f"{{{slot}}} {m[1]}."
    if m := re.match(r"(?:Who|Which [a-z]+) ((?:is|was|has|will) [^?]+)\?$", question):
        return f"{{{slot}}} {m[1]}." if not m[1].split()[1].startswith("{") else None
    return None


class Group:
    """One kind of fact: its slots, the ways to say it, and per slot the ways to ask for it."""

    def __init__(self, text):
        lines = text.strip().split("\n")
        self.name, *self.slots = lines[0].split()
        self.statements = [line[2:] for line in lines if line.startswith(". ")]
        self.questions = {}
        for line in lines:
            if line.startswith("? "):
                slot, asks = line[2:].split(" ", 1)
                self.questions[slot] = [q.strip() for q in asks.split("|")]
        self.more_statements = [line[3:] for line in lines if line.startswith("+. ")]
        self.more_questions = {slot: asks.split(" | ") for slot, asks in (line[3:].split(" ", 1) for line in lines if line.startswith("+? "))}

    def split(self, test):
        """The templates of one side. What is kept for the test depends on the names alone."""
        def side(items, key, more):
            keep = random.Random(f"{self.name} {key}").randrange(len(items))
            return [items[keep]] if test else items[:keep] + items[keep + 1:] + more
        statements = side(self.statements, "statements", self.more_statements)
        questions = {slot: side(asks, slot, self.more_questions.get(slot, [])) for slot, asks in self.questions.items()}
        plain = [] if test else [text for slot, asks in questions.items() for ask in asks if (text := stated(slot, ask)) and text.count("{") > 1]
        return statements, questions, plain


def groups():
    text = Path(__file__).with_name("facts.txt").read_text()
    return [Group(block) for block in re.split(r"\n\s*\n", text.split("\n\n", 1)[1].strip())]


class Writer:
    """Makes (context, question, answer, offset of the answer in the context) from one side of the templates."""

    def __init__(self, test):
        self.test, self.groups = test, []
        for group in groups():
            statements, questions, plain = group.split(test)
            self.groups.append((group, (statements, plain), questions))

    def statement(self, r, statements):
        full, plain = statements
        return r.choice(plain) if plain and r.random() < 0.25 else r.choice(full)

    def fact(self, r, group):
        values = {}
        for slot in group.slots:
            while (value := SLOTS[slot](r)) in values.values():
                pass
            values[slot] = value
        return values

    def example(self, r):
        biography = r.random() < 0.3
        facts = self.biography(r) if biography else self.mixture(r)
        chosen = r.randrange(len(facts)) if biography else 0
        group, _, asks, values = facts[chosen]
        templates = [self.statement(r, statements) for _, statements, _, _ in facts]
        questions = [(slot, q) for slot, qs in asks.items() if "{" + slot + "}" in templates[chosen]
                     for q in qs if all("{" + s + "}" in templates[chosen] for s in re.findall(r"{(\w+)}", q))]
        if not questions:  # a plain statement whose slots no question uses alone
            return self.example(r)
        slot = r.choice([slot for slot, _ in questions])
        question = r.choice([q for s, q in questions if s == slot])
        if not self.test:
            templates, question = [reworded(r, t) for t in templates], reworded(r, question)
        sentences = [self.sentence(r, template, values) for template, (*_, values) in zip(templates, facts)]
        if biography:
            sentences[1:] = [pronoun(r, s, facts[0][3]) for s in sentences[1:]]
        if values[slot].lower() not in sentences[chosen].lower():  # a pronoun stands for it
            return self.example(r)
        if "{" not in question and not biography and len(facts) > 1:
            del sentences[1:]  # "What was the score?" must have one answer
        target = sentences[chosen]
        if not biography:
            r.shuffle(sentences)
        for filler in r.sample(FILLERS, r.randint(0, 2)):
            sentences.insert(r.randint(0, len(sentences)), filler)
        offset = sum(len(s) + 1 for s in sentences[:sentences.index(target)]) + target.lower().index(values[slot].lower())
        context = " ".join(sentences)
        return context, question.format(**values), context[offset:offset + len(values[slot])], offset

    def mixture(self, r):
        """Facts that have nothing to do with each other; the first is asked for."""
        chosen = [r.choice(self.groups) for _ in range(r.randint(1, 4))]
        if r.random() < 0.5:  # the same kind of fact about somebody else is the hardest distractor
            chosen.append(chosen[0])
        return [(*group, self.fact(r, group[0])) for group in chosen]

    def biography(self, r):
        """Several facts about one person, company or animal: they share their values."""
        about = r.choice(("person", "person", "name", "city", "company"))
        chosen = r.sample([g for g in self.groups if about in g[0].slots], 2)
        while set(chosen[0][0].slots) & set(chosen[1][0].slots) != {about}:  # one year, one city: one answer
            chosen = r.sample([g for g in self.groups if about in g[0].slots], 2)
        values = self.fact(r, chosen[0][0]) | {k: v for k, v in self.fact(r, chosen[1][0]).items() if k != about}
        return [(*group, values) for group in chosen]

    def sentence(self, r, statement, values):
        text = r.choice(ASIDES) + statement.format(**values)
        return text[0].upper() + text[1:]


if __name__ == "__main__":
    for test in (False, True):
        writer, r = Writer(test), random.Random(1)
        for _ in range(5):
            print(writer.example(r))
