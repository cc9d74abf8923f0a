"""Tells short stories from the plots in plots.txt: a hero, a friend, a place and a thing, beat by beat."""

import random
import re
from pathlib import Path

import cast

FEARS = "the dark|thunder|deep water|the big black dog|high places|strange noises|the night|ghosts|the wide river|snakes".split("|")
FOODS = "berries|honey|apples|bread|cookies|nuts|cheese|carrots|cake|soup|pears|pancakes|cherries".split("|")
GIFTS = "a golden medal|a red scarf|a little silver bell|a basket of apples|a jar of honey|a shiny stone|a warm hat|a music box|a big chocolate cake|a blue ribbon|a wooden boat".split("|")
PROJECTS = "a tree house|a little boat|a snowman|a sandcastle|a kite|a bridge over the stream|a raft|a tower|a nest|a big slide|a house of leaves|a flying machine".split("|")
WISHES = "fly|dance|sing|swim|paint pictures|play the piano|climb the highest tree|jump over the river|whistle|read books|see the sea|touch the moon".split("|")
ANIMALS = "owl|crow|mole|snail|goat|hen|beaver|badger|swan|deer|butterfly|goose|rooster|donkey|crab|parrot|spider|toad".split("|")
RELATIVES = "mother|father|grandmother|grandfather|aunt|uncle|sister|brother".split("|")

GREETINGS = """Once upon a time, there was a {nature} {kind} named {name}. {He} lived {place}.|Once upon a time, a {nature} {kind} named {name} lived {place}.
There was once a {nature} {kind} called {name}. {name} lived {place} with {his} family.|{name} was a {nature} {kind} who lived {place}.|{name} the {kind} lived {place}. {He} was very {nature}.
In a small house {place} lived a {nature} {kind}. {His} name was {name}.|Long ago, a {nature} {kind} named {name} lived {place}.|Once there was a {kind} named {name}. {He} was {nature} and liked {food}.
{name} was a {nature} {kind}. {His} best friend was {friend} the {fkind}. They lived {place}.|Far away, {place}, lived a {nature} {kind} named {name}.|Little {name} was a {kind}. {He} lived {place} and loved {food}.
On a sunny day, a {nature} {kind} named {name} was {place}.|It was a beautiful morning {place}. {name} the {kind} was already awake.|Everybody {place} knew {name}, the {nature} {kind}.|""".replace("\n", "|").split("|")

# Sentences that fit anywhere before the end of a story.
DETAILS = """The sun was shining and the birds were singing.|The wind was blowing softly.|It was {weather} that day.|{name} ate some {food} and thought about it.|A {colour} butterfly flew by.|The sky was {colour2}.
Far away, a bell was ringing.|{name} could smell fresh {food}.|"Oh dear," said {name}.|"Hmm," said {name}.|{name} looked at {friend}, and {friend} looked at {name}.|A little {animal3} watched them from a tree.
{name} was {feeling}.|{friend} was {feeling}.|It was almost time for {meal}.|The leaves were {colour} and {colour2}.|Somewhere, an old {animal3} was singing a song.|{name} put on {his} {colour} {clothes}.|It was very quiet.
{He} had never seen anything like it.|"This is a special day," thought {name}.|{name} counted to {number}.|A {colour} bird sat on the fence.|The grass was wet and cold.|There were {colour} flowers everywhere.|{name} scratched {his} head.
{He} drank a glass of {drink}.|The {animal3} said, "What a day!"|{friend} laughed.|{name} laughed.|The stars came out one by one.|A cool breeze came from the {direction}.|{name} wore a {colour} {clothes} today.|The old clock struck {number}.""".replace("\n", "|").split("|")
WEATHER = "cold|warm|hot|windy|foggy|a bit rainy|very cold|bright and warm|cloudy|lovely weather".split("|")
FEELINGS = "excited|tired|a little nervous|happy|hungry|thirsty|surprised|worried|very curious|full of hope|quiet|cheerful".split("|")
COLOURS = "red|blue|green|yellow|white|golden|purple|orange|pink|silver|brown|grey".split("|")
CLOTHES = "hat|coat|scarf|jacket|shirt|cap".split("|")

CLOSINGS = "|||||The end.|And they all lived happily ever after.|Good night, {name}.|It was a very good day.".split("|")


def plots():
    """plot name -> list of beats, each a list of ways to tell it."""
    text = Path(__file__).with_name("plots.txt").read_text()
    out = {}
    for block in re.split(r"\n\s*\n", text.split("\n", 1)[1].strip()):
        head, *beats = re.split(r"\n> \w+\n", block)
        out[head.split()[1]] = [[line[2:] for line in beat.split("\n")] for beat in beats]
    return out


def article(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def roles(r):
    """Values of all slots."""
    heroes = [(kind, name) for kind, names in (group.split(":") for group in cast.HEROES.split("|")) for name in names.split()]
    (kind, name), (fkind, friend) = r.sample(heroes, 2)
    while friend == name or fkind == kind:
        fkind, friend = r.choice(heroes)
    male = kind in ("boy", "king", "farmer") or kind not in ("girl", "cow", "fairy", "princess", "grandmother", "hen") and r.random() < 0.5
    fmale = fkind in ("boy", "king", "farmer") or fkind not in ("girl", "cow", "fairy", "princess", "grandmother", "hen") and r.random() < 0.5
    place, place2, place3 = r.sample(cast.PLACES, 3)
    animal, animal2, animal3 = r.sample([a for a in ANIMALS if a not in (kind, fkind)], 3)
    thing = r.choice(cast.THINGS)
    values = dict(kind=kind, name=name, fkind=fkind, friend=friend, place=place, place2=place2, place3=place3, animal=animal, animal2=animal2, animal_a=article(animal3),
                  animal3=animal3, weather=r.choice(WEATHER), feeling=r.choice(FEELINGS), colour=r.choice(COLOURS), colour2=r.choice(COLOURS), clothes=r.choice(CLOTHES),
                  meal=r.choice("breakfast lunch dinner supper".split()), number=r.choice("three four five seven ten twelve".split()), drink=r.choice("milk water juice tea lemonade".split()), direction=r.choice("sea hills north forest river".split()),
                  thing=thing, noun=re.sub(r"^(a|an) ", "", re.sub(r" of .*", "", thing)), nature=r.choice(cast.NATURES), fear=r.choice(FEARS), food=r.choice(FOODS), gift=r.choice(GIFTS),
                  project=r.choice(PROJECTS), wish=r.choice(WISHES), relative=r.choice(RELATIVES), fhis="his" if fmale else "her", His2="His" if fmale else "Her")
    he = ("he", "him", "his", "himself") if male else ("she", "her", "her", "herself")
    values |= dict(he=he[0], him=he[1], his=he[2], himself=he[3], He=he[0].capitalize(), His=he[2].capitalize())
    return values


def story(r, plots):
    """One story of 100 to 200 words. A beat in the middle is left out now and then, and most stories have two endings."""
    values, beats = roles(r), r.choice(list(plots.values()))
    parts = [r.choice(GREETINGS)]
    for i, beat in enumerate(beats):
        last = i == len(beats) - 1
        if 0 < i < len(beats) - 2 and len(beats) > 5 and r.random() < 0.08:
            continue
        if 0 < i and r.random() < 0.3:
            parts.append(r.choice(DETAILS))
        parts += r.sample(beat, 2) if last and r.random() < 0.4 else [r.choice(beat)]
    parts.append(r.choice(CLOSINGS))
    text = " ".join(part.format(**values) for part in parts if part)
    text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text)
    text = re.sub(r"(^|[.!?] |\n)([a-z])", lambda m: m[1] + m[2].upper(), text)
    # paragraphs: now and then after a sentence
    return re.sub(r"([.!?]\"?) (?=[A-Z\"])", lambda m: m[1] + ("\n\n" if r.random() < 0.12 else " "), text)


if __name__ == "__main__":
    r = random.Random(1)
    for _ in range(6):
        print(story(r, plots()), "\n-----")
