package hub

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"sync"
)

// journal records which pieces of a partial file have arrived: a line that
// says what they are pieces of, then twelve bytes for each, appended after its
// data was written:
//
//	piece, CRC-32C of its data, CRC-32C of these eight bytes (little endian)
//
// An entry survives the death of the process. After a crash of the system the
// checksums tell which pieces have really reached the disk.
type journal struct {
	mu   sync.Mutex
	file *os.File
}

// entry is one piece that has arrived.
type entry struct{ piece, sum uint32 }

func (e entry) encode() []byte {
	b := make([]byte, 0, entrySize)
	b = binary.LittleEndian.AppendUint32(b, e.piece)
	b = binary.LittleEndian.AppendUint32(b, e.sum)
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

const entrySize = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

func journalHeader(size, piece int64) string {
	return fmt.Sprintf("emily journal 1: %d bytes in pieces of %d\n", size, piece)
}

// openJournal opens or creates a journal. One of other pieces is emptied, and
// what follows a damaged entry is cut off.
func openJournal(f *folder, name string, size, piece int64) (*journal, []entry, error) {
	file, err := f.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, nil, err
	}
	header := journalHeader(size, piece)
	pieces := (size + piece - 1) / piece
	text, err := io.ReadAll(io.LimitReader(file, int64(len(header))+entrySize*pieces*2))
	entries, end := parseJournal(text, header, pieces)
	if err == nil && end == 0 {
		if err = file.Truncate(0); err == nil {
			_, err = file.WriteAt([]byte(header), 0)
		}
		end = int64(len(header))
	}
	if err == nil {
		err = file.Truncate(end)
	}
	if err == nil {
		_, err = file.Seek(end, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return &journal{file: file}, entries, nil
}

// parseJournal returns the entries and where the last good one ends, or 0 if
// the journal is not about these pieces.
func parseJournal(text []byte, header string, pieces int64) (entries []entry, end int64) {
	if !strings.HasPrefix(string(text[:min(len(text), len(header))]), header) {
		return nil, 0
	}
	rest := text[len(header):]
	end = int64(len(header))
	for len(rest) >= entrySize && checksum(rest[:8]) == binary.LittleEndian.Uint32(rest[8:]) {
		e := entry{binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])}
		if int64(e.piece) >= pieces {
			break
		}
		entries = append(entries, e)
		rest = rest[entrySize:]
		end += entrySize
	}
	return entries, end
}

// add appends an entry in one write.
func (j *journal) add(e entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := j.file.Write(e.encode())
	return err
}

func (j *journal) close() error { return j.file.Close() }

// journaled returns how many bytes the journal of a blob promises, without
// opening the blob.
func journaled(f *folder, b fact, piece int64) int64 {
	info, err := f.Stat(journalName(b.etag))
	if err != nil {
		return 0
	}
	n := (info.Size() - int64(len(journalHeader(b.size, piece)))) / entrySize
	return min(max(n, 0)*piece, b.size)
}
