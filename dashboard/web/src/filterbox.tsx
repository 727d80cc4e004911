interface FilterBoxProps {
  value: string;
  onChange: (value: string) => void;
  label: string;
  placeholder: string;
}

/** FilterBox is the field that the key "/" goes to. Escape empties and leaves it, Enter keeps what is typed. */
export function FilterBox({ value, onChange, label, placeholder }: FilterBoxProps) {
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.key !== 'Enter' && e.key !== 'Escape') return;
    if (e.key === 'Escape') onChange('');
    document.getElementById('main')?.focus();
  };
  return (
    <label class="filter">
      <span class="visually-hidden">{label}</span>
      <input
        type="text"
        data-filter
        value={value}
        placeholder={placeholder}
        onInput={(e) => onChange(e.currentTarget.value)}
        onKeyDown={onKeyDown}
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        enterkeyhint="search"
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}
