"""Makes differential.json.gz: small tokenizers of many kinds and what the reference library does with odd texts.

    pip install tokenizers==0.23.3 sentencepiece==0.2.1 protobuf
    python differential.py

Trained on the golden texts and a file of Go's standard library.
"""
import glob, gzip, json, os, random, subprocess
from tokenizers import Tokenizer, AddedToken, Regex, models as M, normalizers as N, pre_tokenizers as P, processors as Q, decoders as D, trainers as T
HERE=os.path.dirname(os.path.abspath(__file__))
NT=40
R=random.Random(7)
gold=[json.loads(l)['text'] for l in open(HERE+'/golden/qwen3-tokenizer.jsonl')]
root=subprocess.check_output(['go','env','GOROOT'],text=True).strip()
src=open(glob.glob(root+'/src/strings/strings.go')[0]).read().split('\n')+open(root+'/src/unicode/utf8/utf8_test.go').read().split('\n')
train=gold+src
scripts=[(0x20,0x7f),(0x20,0x7f),(0x20,0x7f),(0xa0,0x250),(0x300,0x370),(0x370,0x530),(0x590,0x700),(0x900,0xd80),(0xe00,0xe80),(0x1100,0x1200),(0x1e00,0x2070),(0x2190,0x2600),(0x3000,0x3200),(0x4e00,0x5000),(0xac00,0xad00),(0xf900,0xfb00),(0xfb00,0xfb50),(0xfe00,0x10000),(0x1f300,0x1f700),(0x10000,0x1e000),(0xe0000,0xe0100),(0,0x20),(0x7f,0xa0),(0x8a0,0x8c0)]
words=['hello','World','the','▁x','<s>','</s>',' <mask> ','<tok>','[CLS]',"don't","I'll","'S'ſ",'123456','½ ²','\n\n',' \n ','\t','  ','    ','...','!?','foo_bar','naïve','e\u0301','한국어','日本語','ﬁ','Å','İstanbul','ΣΑΣ','\u200d','👩\u200d👩','🇩🇪','\ufeff','\u00a0','\u3000','\r\n','<0x41>','ab<tok>cd','<s>x','TOK','tok','ǅ','ŉ','\u0344','q\u0323\u0307','\u1e9b\u0323','각','\u1100\u1161\u11a8']
def rtext():
    k=R.random()
    if k<0.25: return R.choice(gold)[:R.randint(0,200)]
    if k<0.4: return '\n'.join(R.choice(src) for _ in range(1))
    out=[]
    for _ in range(R.randint(0,12)):
        q=R.random()
        if q<.5: out.append(R.choice(words))
        elif q<.8:
            lo,hi=R.choice(scripts); out.append(''.join(chr(R.randrange(lo,hi)) for _ in range(R.randint(1,6))))
        elif q<.9: out.append(R.choice(' \n\t')*R.randint(1,4))
        else: out.append(chr(R.randrange(0xe000) if R.random()<.7 else R.randrange(0xe000,0x110000)))
        if R.random()<.4: out.append(' ')
    return ''.join(out)
texts=[rtext() for _ in range(NT)]
def bl(t): return P.ByteLevel(add_prefix_space=t,trim_offsets=True,use_regex=True)
def bpe_byte(pre,**kw):
    t=Tokenizer(M.BPE(**kw)); t.pre_tokenizer=pre; t.decoder=D.ByteLevel()
    t.train_from_iterator(train,T.BpeTrainer(vocab_size=400,initial_alphabet=P.ByteLevel.alphabet(),show_progress=False,special_tokens=['<s>','</s>','<unk>','<mask>']))
    return t
def spm_bpe(norm,pre,dec):
    t=Tokenizer(M.BPE(byte_fallback=True,fuse_unk=True,unk_token='<unk>'))
    t.normalizer=norm
    if pre: t.pre_tokenizer=pre
    t.decoder=dec
    tr=Tokenizer(M.BPE(unk_token='<unk>')); tr.normalizer=norm; tr.pre_tokenizer=P.Metaspace() 
    tr.train_from_iterator(train,T.BpeTrainer(vocab_size=450,limit_alphabet=100,show_progress=False,special_tokens=['<unk>','<s>','</s>']+['<0x%02X>'%i for i in range(256)]))
    m=json.loads(tr.to_str()); j=json.loads(t.to_str()); j['model']['vocab']=m['model']['vocab']; j['model']['merges']=m['model']['merges']
    return Tokenizer.from_str(json.dumps(j))
cfg={}
a=bpe_byte(bl(False)); a.post_processor=Q.ByteLevel(trim_offsets=True); cfg['gpt2']=a
a=bpe_byte(bl(True)); a.post_processor=Q.RobertaProcessing(('</s>',1),('<s>',0),trim_offsets=True,add_prefix_space=True); a.add_special_tokens([AddedToken('<mask>',lstrip=True,special=True)]); cfg['roberta']=a
a=bpe_byte(bl(False)); a.post_processor=Q.RobertaProcessing(('</s>',1),('<s>',0),trim_offsets=False,add_prefix_space=False); a.add_tokens([AddedToken('<tok>',lstrip=True,rstrip=True,normalized=True),AddedToken('TOK',single_word=True,normalized=True),'hello','\n\n']); cfg['bytelevel-added']=a
l3=r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
a=bpe_byte(P.Sequence([P.Split(Regex(l3),'isolated'),P.ByteLevel(add_prefix_space=False,use_regex=False)]),ignore_merges=True)
a.post_processor=Q.Sequence([Q.ByteLevel(trim_offsets=False),Q.TemplateProcessing(single='<s> $A',pair='<s> $A <s> $B:1',special_tokens=[('<s>',0)])]); cfg['llama3']=a
a=bpe_byte(P.Sequence([P.Split(Regex(l3),'removed',invert=True),P.ByteLevel(add_prefix_space=False,use_regex=False)])); cfg['llama3-inverted']=a
o2=r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
a=bpe_byte(P.Sequence([P.Split(Regex(o2),'isolated'),P.ByteLevel(add_prefix_space=False,use_regex=False)])); a.normalizer=N.NFC(); cfg['o200k']=a
poss=r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
a=bpe_byte(P.Sequence([P.Split(Regex(poss),'isolated'),P.ByteLevel(add_prefix_space=False,use_regex=False)])); cfg['cl100k-possessive']=a
ds=[P.Split(Regex(r"[\r\n]"),'isolated'),P.Split(Regex(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳ]+"),'isolated'),P.Split(Regex(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),'isolated'),P.Split(Regex(r"\s+$"),'isolated'),P.Split(Regex(r"[一-龥ࠀ-一가-퟿]+"),'isolated'),P.Digits(individual_digits=True),P.ByteLevel(add_prefix_space=False,use_regex=False)]
a=bpe_byte(P.Sequence(ds)); cfg['deepseek']=a
ds3=[P.Split(Regex(r"\p{N}{1,3}"),'isolated'),P.Split(Regex(r"[一-龥぀-ゟ゠-ヿ]+"),'isolated'),P.Split(Regex(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),'isolated'),P.ByteLevel(add_prefix_space=False,use_regex=False)]
a=bpe_byte(P.Sequence(ds3)); cfg['deepseek3']=a
lldec=D.Sequence([D.Replace('▁',' '),D.ByteFallback(),D.Fuse(),D.Strip(' ',1,0)])
a=spm_bpe(N.Sequence([N.Prepend('▁'),N.Replace(' ','▁')]),None,lldec); a.add_special_tokens([AddedToken('<s>',special=True,normalized=False),AddedToken('</s>',special=True,normalized=False)]); a.add_tokens([AddedToken('<tok>',normalized=True),AddedToken('hello',normalized=False,lstrip=True)]); a.post_processor=Q.TemplateProcessing(single='<s> $A',pair='<s> $A <s>:1 $B:1',special_tokens=[('<s>',1)]); cfg['llama2']=a
a=spm_bpe(N.Replace(' ',' '),P.Metaspace(prepend_scheme='first',split=False),lldec); a.add_special_tokens([AddedToken('<s>',special=True,normalized=False)]); cfg['llama2-new']=a
a=spm_bpe(N.Sequence([N.Strip(),N.NFKC()]),P.Metaspace(prepend_scheme='first',split=True),D.Metaspace(prepend_scheme='first')); a.add_special_tokens(['<s>']); cfg['metaspace-first-strip']=a
a=spm_bpe(N.Replace(' ','▁'),P.Split(' ','merged_with_previous'),D.Sequence([D.Replace('▁',' '),D.ByteFallback(),D.Fuse()])); a.add_special_tokens(['<s>','</s>']); a.add_tokens(['\n\n','    ','\t']); cfg['gemma']=a
for name,low,cased in [('bert-uncased',True,None),('bert-cased',False,False),('bert-accents',False,True)]:
    a=Tokenizer(M.WordPiece(unk_token='[UNK]')); a.normalizer=N.BertNormalizer(lowercase=low,strip_accents=cased); a.pre_tokenizer=P.BertPreTokenizer(); a.decoder=D.WordPiece()
    a.train_from_iterator(train,T.WordPieceTrainer(vocab_size=450,show_progress=False,special_tokens=['[PAD]','[UNK]','[CLS]','[SEP]','[MASK]']))
    a.post_processor=Q.BertProcessing(('[SEP]',3),('[CLS]',2)) if low else Q.TemplateProcessing(single='[CLS] $A [SEP]',pair='[CLS] $A [SEP] $B:1 [SEP]:1',special_tokens=[('[CLS]',2),('[SEP]',3)])
    if cased: a.add_tokens([AddedToken('hello',normalized=True,single_word=True),AddedToken('naïve',normalized=True),AddedToken('WORLD',normalized=True,rstrip=True)])
    cfg[name]=a
# CLIP
a=Tokenizer(M.BPE(unk_token='<|endoftext|>',end_of_word_suffix='</w>',continuing_subword_prefix='')); a.normalizer=N.Sequence([N.NFC(),N.Replace(Regex(r'\s+'),' '),N.Lowercase()])
a.pre_tokenizer=P.Sequence([P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"),'removed',invert=True),P.ByteLevel(add_prefix_space=False)])
a.train_from_iterator(train,T.BpeTrainer(vocab_size=450,end_of_word_suffix='</w>',initial_alphabet=P.ByteLevel.alphabet(),show_progress=False,special_tokens=['<|startoftext|>','<|endoftext|>'])); a.decoder=D.ByteLevel()
a.post_processor=Q.RobertaProcessing(('<|endoftext|>',1),('<|startoftext|>',0),trim_offsets=False,add_prefix_space=False); cfg['clip']=a
a=Tokenizer(M.BPE(unk_token='<unk>',end_of_word_suffix='</w>',fuse_unk=False)); a.normalizer=N.Sequence([N.NFD(),N.StripAccents(),N.Lowercase()]); a.pre_tokenizer=P.Whitespace(); a.decoder=D.BPEDecoder(suffix='</w>')
a.train_from_iterator(train,T.BpeTrainer(vocab_size=300,end_of_word_suffix='</w>',limit_alphabet=60,show_progress=False,special_tokens=['<unk>'])); cfg['bpe-suffix']=a
a=Tokenizer(M.BPE(unk_token='<unk>',continuing_subword_prefix='##',fuse_unk=True)); a.normalizer=N.NFKD(); a.pre_tokenizer=P.WhitespaceSplit(); a.decoder=D.WordPiece(prefix='##')
a.train_from_iterator(train,T.BpeTrainer(vocab_size=300,continuing_subword_prefix='##',limit_alphabet=60,show_progress=False,special_tokens=['<unk>'])); cfg['bpe-prefix']=a
a=Tokenizer(M.BPE()); a.pre_tokenizer=P.Whitespace()
a.train_from_iterator(train,T.BpeTrainer(vocab_size=300,limit_alphabet=60,show_progress=False)); cfg['bpe-drop']=a
a=Tokenizer(M.BPE()); a.pre_tokenizer=bl(False); a.decoder=D.ByteLevel()
a.train_from_iterator(src,T.BpeTrainer(vocab_size=400,show_progress=False)); a.post_processor=Q.ByteLevel(trim_offsets=True); cfg['bytelevel-holes']=a
a=Tokenizer(M.WordLevel(unk_token='<unk>')); a.pre_tokenizer=P.Sequence([P.Whitespace(),P.Digits()]); a.normalizer=N.Nmt()
a.train_from_iterator(train,T.WordLevelTrainer(vocab_size=500,show_progress=False,special_tokens=['<unk>'])); cfg['wordlevel']=a
for beh in ['removed','isolated','merged_with_previous','merged_with_next','contiguous']:
    for inv in (False,True):
        a=Tokenizer(M.BPE(unk_token='<unk>',fuse_unk=inv)); a.pre_tokenizer=P.Sequence([P.Split(Regex(r'[aeiou]+|\s|'),beh,invert=inv),P.Punctuation(beh)])
        a.train_from_iterator(train,T.BpeTrainer(vocab_size=500,limit_alphabet=120,show_progress=False,special_tokens=['<unk>'])); cfg['split-%s-%s'%(beh,inv)]=a
a=Tokenizer(M.BPE(unk_token='<unk>')); a.normalizer=N.Sequence([N.ByteLevel()]); a.pre_tokenizer=P.Sequence([P.CharDelimiterSplit('x'),P.UnicodeScripts()])
a.train_from_iterator(train,T.BpeTrainer(vocab_size=500,show_progress=False,special_tokens=['<unk>'])); a.decoder=D.ByteLevel(); a.add_tokens(['hello ',AddedToken('naïve',normalized=True)]); cfg['norm-bytelevel']=a
a=Tokenizer(M.WordLevel({c:i for i,c in enumerate(['<pad>','|','a','b','c','h','e','l','o',' ','.',"'",'t'])},unk_token='<pad>')); a.pre_tokenizer=P.Split('', 'isolated') if False else P.Split(Regex(r'.'),'isolated'); a.normalizer=N.Sequence([N.Lowercase(),N.Replace(' ','|')]); a.decoder=D.CTC(); cfg['ctc']=a
# sentencepiece
import sentencepiece as spm, io
from sentencepiece import sentencepiece_model_pb2 as pb
for rule in ['nmt_nfkc']:
    mf=io.BytesIO(); 
    spm.SentencePieceTrainer.train(sentence_iterator=iter(t.replace('\n',' ') for t in train if t.strip()),model_writer=mf,vocab_size=520,normalization_rule_name=rule,model_type='unigram',byte_fallback=False,hard_vocab_limit=False,minloglevel=5)
    mp=pb.ModelProto(); mp.ParseFromString(mf.getvalue())
    vocab=[(p.piece,p.score) for p in mp.pieces]
    for bf in (False,True):
        v=list(vocab)+([('<0x%02X>'%i,0.0) for i in range(256)] if bf else [])
        a=Tokenizer(M.Unigram(v,unk_id=0,byte_fallback=bf))
        a.normalizer=N.Sequence([N.NFKC() if bf else N.Precompiled(mp.normalizer_spec.precompiled_charsmap),N.Replace(Regex(' {2,}'),' ')])
        a.pre_tokenizer=P.Metaspace(prepend_scheme='never',split=False) if bf else P.Sequence([P.WhitespaceSplit(),P.Metaspace()])
        a.decoder=D.Metaspace() if not bf else D.Sequence([D.ByteFallback(),D.Metaspace()])
        a.add_special_tokens(['<s>','</s>',AddedToken('<mask>',lstrip=True,special=True)])
        a.post_processor=Q.TemplateProcessing(single='$A </s>',pair='$A </s> $B </s>',special_tokens=[('</s>',a.token_to_id('</s>'))])
        cfg[f'unigram-{rule}-{bf}']=a
out=[]
for name,t in cfg.items():
    cases=[]; bad=0
    for s in texts:
        try:
            e=t.encode(s,add_special_tokens=False); f=t.encode(s,add_special_tokens=True)
            pr=t.encode(s[:40],s[-30:],add_special_tokens=True)
            ids=list(e.ids); R2=random.Random(len(s)); rid=[R2.randrange(t.get_vocab_size()) for _ in range(R2.randint(1,12))]
            c=dict(text=s,ids=ids,offsets=e.offsets,ids_with_special=f.ids,offsets_with_special=f.offsets,a=s[:40],b=s[-30:],pair_ids=pr.ids,pair_types=pr.type_ids,pair_offsets=pr.offsets)
            try: c['decoded']=t.decode(ids,skip_special_tokens=False); c['decoded_skip_special']=t.decode(ids,skip_special_tokens=True)
            except BaseException as x: pass
            try: c['random']=rid; c['random_decoded']=t.decode(rid,skip_special_tokens=False)
            except BaseException as x: c.pop('random',None)
            cases.append(c)
        except BaseException as x: bad+=1
    out.append(dict(name=name,tokenizer=t.to_str(),size=t.get_vocab_size(),cases=cases))
with open(HERE+'/differential.json.gz','wb') as f: f.write(gzip.compress(json.dumps(out,separators=(',',':')).encode(),9,mtime=0))
print(len(out),'configs',len(texts),'texts')
